"""Proves wrappers: `seamir.prove`, and what the command `seamir verify` needs around it.

`reading` reads the object that is to be proved, `work` proves its functions, `workers` does so in
several processes, `keys` and `cache` keep what was proved; `report` says what came of it, and
`examples` shows a counterexample happening.
"""

from seamir.proving.verification import Verification, prove

__all__ = ["Verification", "prove"]
