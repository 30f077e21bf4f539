"""Assembly for a tree of Linux: LLVM's text with the macros of the kernel's own headers.

Takes the text that the object is made of too, and returns a .S file as people write it for the
kernel, which is to be read line by line. What the kernel decides is left to its macros: ENDBR and
alignment to SYM_TYPED_FUNC_START, the way of returning to RET, a row of the exception table to
_ASM_EXTABLE_FAULT. The instructions are LLVM's. Nothing of a description reaches the text but
through `plain`, and only in C comments; symbols and labels are identifiers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile

from seamir.emit.assembly_lines import (
    FILE,
    LABEL,
    LOCATION,
    SourceLines,
    heading,
    in_hexadecimal,
    read_lines,
    shorten,
)
from seamir.emit.header import declaration
from seamir.emit.text import block_comment, origin, wrap
from seamir.ir.leaf import Plan
from seamir.targets import Target

COLUMNS = 100  # of a line with a comment, which the kernel's checkpatch.pl allows
_TAB = 8  # columns
_FEWEST = 40  # columns of a source line, however long its place is
_SECTION = re.compile(r'\t\.section\t([\w.]+),"ax",@progbits|\t(\.text)')
_CODE_LABEL = re.compile(r"\.L\w+")
# What debuggers need, and what SYM_FUNC_START and RET bring: int3 follows returns and nothing else.
_NOISE = re.compile(r"|\t\.cfi_\w+\b.*|\t#(APP|NO_APP)|\tendbr64|\tint3")
_RETURN = re.compile(r"\t(jmp\t__x86_return_thunk|retq)")
# What comes of a call in the carry flag, for which LLVM's mnemonics say "below".
_CARRY = (
    re.compile(r"(\t\.byte\t.+\n(?:\t\.loc\t.+\n)*\tset)b(?=\t)"),
    re.compile(r"(\t\.byte\t.+\n(?:\t(?:\.loc|setc)\t.+\n)*\tj)b(?=\t)"),
)
_PLACE_BEFORE_LABEL = re.compile(r"(\t\.loc\t.+\n)(\.L\w+:\n)")
_CARRY_BRANCH = re.compile(r"\tjc\t(\.L\w+)")
_CALL = "\t.byte\t"
_LEAVING = re.compile(r"\t(popq\t.+|addq\t\$\d+, %rsp|xorl\t(%\w+), \2)")
_TABLE_MACRO = "\t_ASM_EXTABLE_FAULT("
# What begins a function that pointers may lead to: with ENDBR, and with its type id where the
# kernel checks types. In SYM_FUNC_START there is ENDBR in Linux 6.1 to 6.14 only.
_TYPED_START = "SYM_TYPED_FUNC_START({})"
_START = "SYM_FUNC_START({})"
_OF_THE_KERNEL = {"rethunk", "sls", "patchable-prefix"}  # features that its macros decide


@dataclass(frozen=True)
class _Function:
    """A function in LLVM's text: `lines` are those with code, labels and places.

    `table` are the lines that make its rows of the exception table.
    """

    plan: Plan
    section: str
    lines: tuple[str, ...]
    table: tuple[str, ...]


def emit_linux_assembly(
    text: str,
    plans: Sequence[Plan],
    target: Target,
    source_name: str,
    prefixes: Sequence[tuple[str, str]] = (),
) -> str:
    """A .S file for the kernel, of LLVM's assembly of the plans' functions.

    `source_name` is the description's name as generated files show it; `prefixes` are the names
    of files in LLVM's text, see `mapped_name`.
    """
    lines = read_lines(_with_table_macros(text, target), plans, "/* {} */")
    source_lines = SourceLines(lines, plans, prefixes)
    functions = list(_functions(lines, plans))
    blocks = [_beginning(source_name, target), _includes(functions, target)]
    section = None
    for function in functions:
        if function.section != section:
            section = function.section
            blocks.append([section])
        blocks.append(_function_lines(function, target, source_lines))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _with_table_macros(text: str, target: Target) -> str:
    """The text with each row of the exception table as one line, a macro of <asm/asm.h>."""
    row = (
        rf'\t\.section\t{target.fixup_section},"a",@progbits\n\t\.p2align\t2, 0x0\n'
        r"(\.L\w+):\n\t\.long\t(\.L\w+)-\1\n(\.L\w+):\n\t\.long\t(\.L\w+)-\3\n"
        rf"\t\.long\t{target.fixup_type}\n\t\.(?:text|section\t[^\n]+)\n"
    )
    return re.sub(row, rf"{_TABLE_MACRO}\2, \4)\n", text)


def _functions(lines: Sequence[str], plans: Sequence[Plan]) -> Iterator[_Function]:
    """The functions in the order of the text; what is around them the kernel's macros bring."""
    by_symbol = {plan.symbol: plan for plan in plans}
    section = ".text"
    plan: Plan | None = None
    body: list[str] = []
    for line in lines:
        if plan is not None and line.startswith("\t.size\t"):
            table = tuple(entry for entry in body if entry.startswith(_TABLE_MACRO))
            code = [entry for entry in body if not entry.startswith(_TABLE_MACRO)]
            yield _Function(plan, section, tuple(_code_lines(code)), table)
            plan, body = None, []
        elif plan is not None:
            body.append(line)
        elif found := _SECTION.fullmatch(line):
            section = found[2] or f'.section {found[1]}, "ax"'
        elif label := LABEL.fullmatch(line):
            plan = by_symbol.get(label[1])


def _code_lines(lines: Sequence[str]) -> list[str]:
    """The lines of a function without what macros bring and what only debuggers need."""
    kept = [line for line in lines if not _NOISE.fullmatch(line) and not FILE.match(line)]
    text = _PLACE_BEFORE_LABEL.sub(r"\2\1", "\n".join(kept))
    for mnemonic in _CARRY:
        text = mnemonic.sub(r"\1c", text)
    return text.split("\n")


def _beginning(source_name: str, target: Target) -> list[str]:
    features = ", ".join(sorted(target.features - _OF_THE_KERNEL)) or "none"
    return block_comment(
        [
            *origin(source_name),
            wrap(f"Target {target.name}; features: {features}."),
        ]
    )


def _includes(functions: Sequence[_Function], target: Target) -> list[str]:
    lines = ["#include <linux/linkage.h>"]
    if _is_typed(target):
        lines.append("#include <linux/cfi_types.h>")
    if any(function.table for function in functions):
        lines.append("#include <asm/asm.h>")
    return lines


def _is_typed(target: Target) -> bool:
    """Whether functions begin as those do that pointers may lead to."""
    return not target.features.isdisjoint({"ibt", "kcfi"})


def _function_lines(function: _Function, target: Target, source_lines: SourceLines) -> list[str]:
    """The lines of a function, from its heading to its end."""
    plan, names = function.plan, _label_names(function)
    title, _, *table = heading(plan)
    start = _TYPED_START if _is_typed(target) else _START
    source_lines.begin_function()
    body = [_line(line, names, source_lines) for line in function.lines]
    return [
        *block_comment([[title], _prototype(plan, target), table]),
        start.format(plan.symbol),
        *_named_once(line for line in body if line is not None),
        *_table_lines(function, names),
        f"SYM_FUNC_END({plan.symbol})",
    ]


def _named_once(body: Iterable[str]) -> Iterator[str]:
    """The lines without comments for the function as a whole behind the call.

    What restores registers and returns there is of the line that the function begins with.
    """
    own, called = None, False
    for line in body:
        called = called or line.startswith(_CALL)
        place = line.partition(": ")[0] if line.startswith("\t/* ") else None
        own = own or place
        if place is None or place != own or not called:
            yield line


def _prototype(plan: Plan, target: Target) -> list[str]:
    """What C declares; tabs would stop elsewhere in a comment."""
    return [line.expandtabs() for line in declaration(plan, target)]


def _table_lines(function: _Function, names: Mapping[str, str]) -> list[str]:
    lines = [_renamed(line, names) for line in function.table]
    return ["", *lines] if lines else []


def _line(line: str, names: Mapping[str, str], source_lines: SourceLines) -> str | None:
    """What becomes of a line of LLVM's; None if nothing."""
    if location := LOCATION.match(line):
        return _source_comment(location, source_lines)
    if label := LABEL.fullmatch(line):
        return f"{names[label[1]]}:" if label[1] in names else None
    if _RETURN.fullmatch(line):
        return "\tRET"
    line = re.sub(r"\tcallq\t(\w+)@PLT", r"\tcall\t\1", line)
    return _renamed(in_hexadecimal(line), names)


def _renamed(line: str, names: Mapping[str, str]) -> str:
    return _CODE_LABEL.sub(lambda label: names[label[0]], line)


def _source_comment(location: re.Match[str], source_lines: SourceLines) -> str | None:
    found = source_lines.next(location)
    if found is None:
        return None
    place, text, column = found
    room = COLUMNS - _TAB - len(f"/* {place}: ...... */")
    return f"\t/* {place}: {shorten(text, column, max(room, _FEWEST))} */"


def _label_names(function: _Function) -> dict[str, str]:
    """What the labels that something refers to are called, by LLVM's names of them.

    A label says what is there and in which function: `.Lfault_tdh_mem_track`. No two functions
    share one, since what comes before the first `_` is never part of a symbol.
    """
    roles = _roles(function)
    used = {name for line in (*function.lines, *function.table) for name in _referred(line)}
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    for label in filter(None, map(LABEL.fullmatch, function.lines)):
        if label[1] not in used:
            continue
        role = roles.get(label[1], "")
        counts[role] += 1
        number = counts[role] if counts[role] > 1 or not role else ""
        names[label[1]] = f".L{role}{number}_{function.plan.symbol}"
    return names


def _referred(line: str) -> list[str]:
    """The labels that a line refers to."""
    return [] if LABEL.fullmatch(line) or LOCATION.match(line) else _CODE_LABEL.findall(line)


def _roles(function: _Function) -> dict[str, str]:
    """What is at a label, in a word, where there is one for it."""
    lines = function.lines
    roles: dict[str, str] = {}
    calls = [index for index, line in enumerate(lines) if line.startswith(_CALL)]
    before = {label[1] for label in map(LABEL.fullmatch, lines[: calls[0]]) if label}
    for line in lines[calls[0] :]:
        roles |= {name: "again" for name in _referred(line) if name in before}
    for index, line in enumerate(lines):
        if (label := LABEL.fullmatch(line)) and _leaves(lines[index + 1 :]):
            roles[label[1]] = "out"
    for branch in filter(None, map(_CARRY_BRANCH.fullmatch, lines)):
        roles[branch[1]] = "carry"
    for line in function.table:
        call, edge = _referred(line)
        roles |= {call: "call", edge: "fault"}
    return roles


def _leaves(lines: Sequence[str]) -> bool:
    """Whether a function does nothing from these lines on but to return."""
    code = (line for line in lines if not LOCATION.match(line) and not LABEL.fullmatch(line))
    return _RETURN.fullmatch(next(dropwhile(_LEAVING.fullmatch, code), "")) is not None
