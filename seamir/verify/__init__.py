"""The prover: machine code does what a plan says, whatever it is given.

Read prover.py first, then procedure.py. No module of it knows how code is generated.
"""
