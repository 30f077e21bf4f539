"""Which wrappers a linker may inline into their callers, where it has them as bitcode.

Only a caller of its own kind is thought of: one that is compiled for the same target.
"""

from __future__ import annotations

from seamir.ir.flag import uses_rbp
from seamir.ir.leaf import Plan


def inlining_obstacle(plan: Plan) -> str | None:
    """Why the wrapper is only ever to be called, such as "scrub"; None if it may be inlined."""
    if plan.scrub:
        return "scrub"  # registers are cleared where a function returns
    if plan.section != ".text":
        return "noinstr"  # a caller has a section of its own, and may be instrumented
    if uses_rbp(plan):
        return "rbp"  # a caller may have its frame pointer there
    if plan.destroys_simd:
        return "simd"  # a caller may have more vector registers than assembly can name
    return None
