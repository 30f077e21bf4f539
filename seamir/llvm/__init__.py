"""From plans to machine code. Only this package imports llvmlite."""
