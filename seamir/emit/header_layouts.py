"""The layouts of a header: structures of registers, defined here or checked where they are.

Takes the plans of the header, returns blocks of lines. A layout that is `extern` is somebody
else's structure: the header declares it and has a macro that checks its members.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamir.diagnostics import Diagnostics
from seamir.emit.c_names import Kind, Names
from seamir.emit.header_types import define_structure, layout_assert
from seamir.emit.text import block_comment, paragraphs, plain, wrap
from seamir.ir.leaf import Plan
from seamir.model.types import Layout

_CHECK = "SEAMIR_CHECK"
_ASSERT = "SEAMIR_STATIC_ASSERT"
_ASSERTING = f"""\
#ifndef {_ASSERT}
#ifdef __cplusplus
#define {_ASSERT} static_assert
#else
#define {_ASSERT} _Static_assert
#endif
#endif"""


def layouts(plans: Sequence[Plan], names: Names, sink: Diagnostics) -> list[list[str]]:
    """A block for each layout that an argument points to; reports two of one name (E0611)."""
    found: dict[str, Layout] = {}
    for plan in plans:
        for argument in plan.arguments:
            layout = argument.layout
            first = None if layout is None else found.setdefault(layout.name, layout)
            if layout is not None and first is not None and first != layout:
                notes = [("the other layout is here", first.span)]
                message = f"struct {layout.name} would have two layouts"
                sink.report("E0611", message, layout.span, notes=notes, help="rename one of them")
    blocks = []
    if any(layout.extern for layout in found.values()):
        names.take(_ASSERT, Kind.MACRO, "a macro of the header's own", None)
        blocks.append(_ASSERTING.split("\n"))
    return [*blocks, *(_block(layout, names) for layout in found.values())]


def _block(layout: Layout, names: Names) -> list[str]:
    tag = f"struct {layout.name}"
    names.take(layout.name, Kind.TAG, tag, layout.span)
    for member in layout.members:
        names.take(member.name, Kind.LOCAL, f"member {member.name}", member.span, "member")
    meaning = (layout.size, [(member.name, member.offset) for member in layout.members])
    lines = _checked(layout, names) if layout.extern else _defined(layout, names)
    return names.once(f"LAYOUT_{layout.name}", meaning, tag, layout.span, lines)


def _defined(layout: Layout, names: Names) -> list[str]:
    """The structure, gaps between its registers filled."""
    members = []
    end = 0
    for member in sorted(layout.members, key=lambda member: member.offset):
        if member.offset > end:
            gap = f"reserved_{end}"
            names.take(gap, Kind.LOCAL, f"the gap before {member.name}", member.span, "member")
            count = (member.offset - end) // 8
            members.append(("u64", gap if count == 1 else f"{gap}[{count}]", "not used"))
        said = " ".join(paragraphs(member.doc))
        words = member.register if said == "" else f"{member.register} - {said}"
        members.append(("u64", member.name, words))
        end = member.offset + 8
    summary = " ".join(paragraphs(layout.doc)).removesuffix(".") or "registers of a call"
    offsets = [(member.name, member.offset) for member in layout.members]
    lines = define_structure(layout.name, plain(summary), members)
    return [*lines, "", *layout_assert(layout.name, layout.size, offsets)]


def _checked(layout: Layout, names: Names) -> list[str]:
    """A declaration, and a macro of assertions for after the definition."""
    macro = f"{_CHECK}_{layout.name}".upper()
    names.take(macro, Kind.MACRO, f"the check of struct {layout.name}", layout.span)
    tag = f"struct {layout.name}"
    comment = (
        f"{tag} is defined elsewhere. After its definition `{macro};` at file scope "
        "checks that its registers lie where the machine code expects them."
    )
    terms = [
        f"__builtin_offsetof({tag}, {member.name}) == {member.offset}" for member in layout.members
    ]
    terms += [f"sizeof((({tag} *)0)->{member.name}) == 8" for member in layout.members]
    joined = " && \\\n\t\t\t     ".join(terms)
    text = f'#define {macro} \\\n\t{_ASSERT}({joined}, \\\n\t\t\t     "layout of {tag}")'
    return [*block_comment([wrap(comment)]), f"{tag};", *text.split("\n")]
