"""Completion in shells: what may stand at each place of a command line, and the scripts."""
