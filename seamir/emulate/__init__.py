"""Running a wrapper against a scripted other side: the plan itself, or its machine code.

`interpreter` runs a plan and is the reference of what it means; `machine` runs the emitted object
in unicorn (extra `seamir[emulate]`). Both take the same memory, arguments and other side, which
`script` defines, and `compare` says in words where their runs differ.
"""
