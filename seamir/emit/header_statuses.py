"""The statuses of a header: macros for codes and operand ids, and tests of a status.

Takes the status families of the plans' conduits, returns blocks of lines. Every macro gives way to
one of the same name that is defined already, since Linux has many of them; each family may also
come from another header.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seamir.emit.c_names import Kind, Names
from seamir.emit.header_types import define, tab_stop
from seamir.emit.text import block_comment, paragraphs, sentence, short_comment, wrap
from seamir.ir.leaf import Plan
from seamir.model.registers import ALL_BITS
from seamir.model.statuses import Match, OperandIds, StatusCode, StatusFamily

_INTRODUCTION = """\
Statuses. A macro that is defined already keeps its value, so headers that define some of these \
come before this one."""
_SEVERAL = """\
The macro of a code with several values has one of them, its NAME_ALT1 and so on the others. Linux \
defines some of these names itself, with another of the values: FAMILY_is_CODE() tests for all."""
_REMARK_COLUMNS = 100  # longer remarks stand before their macro
_VALUE_COLUMN = 48  # values line up here at the latest


def families_of(plans: Iterable[Plan]) -> list[StatusFamily]:
    """The status families of the plans' conduits, each once, in order of first use."""
    found: list[StatusFamily] = []
    for plan in plans:
        refused = plan.edges.refused
        further = () if refused is None else refused.families
        for family in (*plan.conduit.families, *further):
            if family not in found:
                found.append(family)
    return found


def status_blocks(families: Sequence[StatusFamily], names: Names) -> list[list[str]]:
    """For each family: what it is, its tests and its codes; then the operand ids."""
    blocks: list[list[str]] = []
    operands: list[OperandIds] = []
    for family in families:
        blocks.append(_family(family, names))
        if family.operands is not None and family.operands not in operands:
            operands.append(family.operands)
    blocks += [_operand_ids(ids, names) for ids in operands]
    several = any(len(c.values) > 1 for family in families for c in family.codes.values())
    words = [wrap(_INTRODUCTION), wrap(_SEVERAL) if several else []]
    return [block_comment(words), *blocks] if blocks else []


def _first(doc: str) -> str:
    said = paragraphs(doc)
    return said[0] if said else ""


def _family(family: StatusFamily, names: Names) -> list[str]:
    title = sentence(f"{family.name}: {_first(family.doc) or 'a status family'}")
    rows = _rows(family.codes.values(), "", family.name, names, is_status=True)
    tests = _tests(family, names)
    lines = [*short_comment(title), *(tests or [""]), *([""] if tests and rows else [])]
    lines += _guarded(rows)
    codes = [(code.name, code.values) for code in family.codes.values()]
    masks = (family.detail, family.detail_low, family.ignored, family.success)
    what = f"statuses {family.name}"
    return names.once(f"STATUSES_{family.name}", (codes, masks), what, family.span, lines)


def _operand_ids(ids: OperandIds, names: Names) -> list[str]:
    title = sentence(f"{ids.name}: {_first(ids.doc) or 'what detail bits name'}")
    rows = _rows(ids.codes.values(), f"{ids.name}_".upper(), ids.name, names, is_status=False)
    lines = [*short_comment(title), *_guarded(rows)]
    meaning = [(code.name, code.values) for code in ids.codes.values()]
    what = f"operands {ids.name}"
    return names.once(f"OPERANDS_{ids.name}", meaning, what, ids.span, lines)


# -- tests of a status


def _tests(family: StatusFamily, names: Names) -> list[str]:
    functions: list[list[str]] = []
    taken = f"the test of statuses {family.name}"
    for suffix in ("success", "is", "detail"):
        function = _test(family, suffix)
        if function:
            names.take(f"{family.name}_{suffix}", Kind.FUNCTION, taken, family.span)
            functions.append(function)
    for code in family.codes.values():
        if len(code.values) > 1:
            name = f"{family.name}_is_{_short_name(family, code)}"
            what = f"the test of {family.name}.{code.name}"
            names.take(name, Kind.FUNCTION, what, code.span)
            functions.append(_test_of_code(family, code, name))
    lines: list[str] = []
    for function in functions:
        lines += [*([""] if lines else []), *function]
    return lines


def _test(family: StatusFamily, suffix: str) -> list[str]:
    """An inline function on a status, or nothing if the family has no such thing."""
    name = f"{family.name}_{suffix}"
    if suffix == "success":
        if family.success is None:
            return []
        tests = [_comparison(match) for match in family.success] or ["false"]
        return _function(f"bool {name}(u64 status)", " ||\n\t       ".join(tests))
    loose = family.detail | family.ignored
    if suffix == "is":
        if not loose:
            return []
        kept = f"{ALL_BITS & ~loose:#x}ULL"
        words = " and ".join(
            word for word, mask in (("detail", family.detail), ("ignored", family.ignored)) if mask
        )
        remark = f"/* Whether a status is that code, whatever its {words} bits. */"
        value = f"((status ^ code) & {kept}) == 0"
        return [remark, *_function(f"bool {name}(u64 status, u64 code)", value)]
    if not family.detail:
        return []
    detail = f"status & {family.detail:#x}ULL"
    if family.detail_low:
        detail = f"({detail}) >> {family.detail_low}"
    return _function(f"u64 {name}(u64 status)", detail)


def _test_of_code(family: StatusFamily, code: StatusCode, name: str) -> list[str]:
    """An inline function that tests for all values of a code, whoever defines its macro."""
    kept = ALL_BITS & ~(family.detail | family.ignored)
    tests = dict.fromkeys(_comparison(Match(kept, value & kept)) for value in code.values)
    remark = short_comment(f"Whether a status is {code.name}, by any of its values.")
    return [*remark, *_function(f"bool {name}(u64 status)", " ||\n\t       ".join(tests))]


def _short_name(family: StatusFamily, code: StatusCode) -> str:
    """The code's name without the words that the family's begins with too: TDX_X of tdx_status."""
    words, others = code.name.lower().split("_"), family.name.lower().split("_")
    while len(words) > 1 and others and words[0] == others.pop(0):
        del words[0]
    return "_".join(words)


def _comparison(match: Match) -> str:
    value = f"{match.value:#x}ULL" if match.value else "0"
    if match.mask == ALL_BITS:
        return f"status == {value}"
    return f"(status & {match.mask:#x}ULL) == {value}" if match.mask else "true"


def _function(head: str, value: str) -> list[str]:
    return [f"static inline {head}", "{", *f"\treturn {value};".split("\n"), "}"]


# -- macros


def _rows(
    codes: Iterable[StatusCode], prefix: str, owner: str, names: Names, is_status: bool
) -> list[tuple[str, str, str]]:
    """Macro, value and remark of each code; further values of a name become NAME_ALT1, ..."""
    rows: list[tuple[str, str, str]] = []
    for code in codes:
        for index, value in enumerate(code.values):
            name = prefix + code.name + (f"_ALT{index}" if index else "")
            text = f"{value:#018x}ULL" if is_status else f"{value:#x}ULL"
            if not names.take(name, Kind.MACRO, f"the code {owner}.{code.name}", code.span, text):
                continue
            remark = "another value" if index else " ".join(paragraphs(code.doc))
            rows.append((name, text, remark))
    return rows


def _guarded(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    stop = min(tab_stop(name for name, _, _ in rows), _VALUE_COLUMN)
    lines: list[str] = []
    for name, text, remark in rows:
        line = define(name, text, stop)
        if remark:
            full = f"{line}\t/* {remark} */"
            if len(full.expandtabs(8)) <= _REMARK_COLUMNS:
                line = full
            else:
                lines += short_comment(remark)
        lines += [f"#ifndef {name}", line, "#endif"]
    return lines
