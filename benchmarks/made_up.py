"""A description of any number of leaves, to see how compile time grows."""

from __future__ import annotations

_HEAD = """\
// Made up by benchmarks/made_up.py.
import "tdx/types.seam";
import "tdx/conduits.seam";
"""

# Shapes in turn; {n} is the number of the leaf.
_SHAPES = (
    """
/// Takes a handle.
leaf MADE.UP.A{n} = {n} via seamcall (tdr: hpa) {{
    rcx = tdr;
}}
""",
    """
/// Takes a page and a level, gives back two registers.
leaf MADE.UP.B{n} = {n} via seamcall (tdr: hpa, gpa: gpa, level: sept_level, page: hpa)
    -> (first: u64 = rcx, second: u64 = rdx) {{
    rcx = gpa | level;
    rdx = tdr;
    r8  = page;
}}
""",
    """
/// Reads a field.
leaf MADE.UP.C{n} = {n} via seamcall (tdr: hpa, field: u64) -> (data: u64 = r8 else 0) {{
    rcx = tdr;
    rdx = field;
}}
""",
    """
/// Removes something, with patience.
leaf MADE.UP.D{n} = {n} via seamcall (tdr: hpa, gpa: gpa, level: sept_level)
    -> (entry: u64 = rcx on error, info: u64 = rdx) {{
    rcx = gpa | level;
    rdx = tdr;
    retry 9 on TDX_RND_NO_ENTROPY;
}}
""",
)


def description(leaves: int) -> str:
    """The text of a description of so many leaves."""
    shapes = (_SHAPES[n % len(_SHAPES)].format(n=n) for n in range(leaves))
    return _HEAD + "".join(shapes)
