"""Checks layouts: registers at byte offsets of a caller's structure."""

from __future__ import annotations

from seamir.diagnostics import Diagnostics
from seamir.model.names import check_c_name
from seamir.model.registers import NEVER_AN_OPERAND
from seamir.model.types import BUILTIN_TYPES, Layout, LayoutMember
from seamir.source import Span
from seamir.syntax import ast

LARGEST_OFFSET = 4088  # bytes: what lies in one page with the start of the structure
_WORD = 8  # bytes of a register


def make_layout(item: ast.LayoutItem, sink: Diagnostics) -> Layout | None:
    """The layout of an item; None after a report if it has no member."""
    if item.name.text in BUILTIN_TYPES:
        sink.report("E0207", f"type {item.name.text} is built in", item.name.span)
        return None
    check_c_name(item.name, "a structure", sink)
    if not item.members:
        help = "for example `rcx @0; rdx @8;`"
        sink.report("E0311", f"layout {item.name.text} has no register", item.name.span, help=help)
        return None
    members: list[LayoutMember] = []
    names: dict[str, Span] = {}
    for entry in item.members:
        name = entry.name or entry.register
        if entry.name is not None:
            check_c_name(entry.name, "a member", sink)
        member = LayoutMember(
            entry.register.text, name.text, entry.offset.value, entry.doc, entry.span
        )
        if not _may_stand(entry, member, members, sink):
            continue
        members.append(member)  # even at a wrong offset: no errors follow where it is used
        first = names.setdefault(name.text, name.span)
        if first is not name.span:
            notes = [("it is there already", first)]
            sink.report("E0207", f"member {name.text} is there twice", name.span, notes=notes)
    if not members:
        return None
    return Layout(item.name.text, tuple(members), item.extern, item.doc, item.name.span)


def _may_stand(
    entry: ast.LayoutMember, member: LayoutMember, others: list[LayoutMember], sink: Diagnostics
) -> bool:
    """Reports a member in the way of another or where none can be; False: leave it out."""
    if member.register == NEVER_AN_OPERAND:
        message = "rsp is the stack pointer and cannot be in a layout"
        sink.report("E0401", message, entry.register.span)
        return False
    offset = member.offset
    if offset > LARGEST_OFFSET:
        message = f"{offset} bytes are too far from the start of a structure"
        sink.report("E0311", message, entry.offset.span, help=f"the limit is {LARGEST_OFFSET}")
    elif offset % _WORD:
        message = f"a register lies at a multiple of 8 bytes, and {offset} is none"
        help = f"{offset - offset % _WORD} or {offset - offset % _WORD + _WORD}"
        sink.report("E0311", message, entry.offset.span, help=help)
    for other in others:
        notes = [(f"{other.register} is here", other.span)]
        if other.register == member.register:
            sink.report("E0311", f"{member.register} is there twice", entry.span, notes=notes)
            return False
        if other.offset == offset:
            message = f"{member.register} would lie where {other.register} does"
            sink.report("E0311", message, entry.offset.span, notes=notes)
    return True
