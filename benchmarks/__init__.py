"""Measuring seamir against C compilers: compile time and code quality. See README.md."""
