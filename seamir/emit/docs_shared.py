"""What the functions of a reference share: conduits, types, statuses and operand ids.

Takes plans, returns blocks of lines of Markdown for the end of the page, and their headings. Keys
of headings are those of `conduit_key` and `family_key`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from seamir.emit.c_names import c_type
from seamir.emit.contract import promise_words, show_number
from seamir.emit.manifest_tables import Tables
from seamir.emit.markdown import Headings, bullets, table
from seamir.emit.rows import abi_order, show_bits, span_of
from seamir.emit.text import code_span, markdown, paragraphs
from seamir.ir.leaf import Plan
from seamir.model.entities import Conduit
from seamir.model.expressions import show
from seamir.model.registers import ALL_BITS, slice_mask
from seamir.model.statuses import Match, OperandIds, StatusCode, StatusFamily
from seamir.model.types import BUILTIN_TYPES, Type


class Shared:
    """What the plans share, each once, in the order of the page."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.tables = Tables(plans)
        conduits: dict[str, Conduit] = {}
        for plan in plans:
            conduits.setdefault(plan.conduit.name, plan.conduit)
        self.conduits = tuple(conduits.values())
        self.types = tuple(
            (name, kind)
            for kind, name in self.tables.types.items()
            if kind != BUILTIN_TYPES.get(kind.name)
        )
        self.families = tuple(self.tables.families)
        self.operands: list[OperandIds] = []
        for family in self.families:
            if family.operands is not None and family.operands not in self.operands:
                self.operands.append(family.operands)

    def family_key(self, family: StatusFamily) -> str:
        """The key of a family's heading."""
        return f"statuses {self.tables.family_name(family)}"

    def headings(self) -> list[tuple[str, str]]:
        """Keys and texts of the headings of `blocks`."""
        titles = [(conduit_key(conduit), f"Conduit {conduit.name}") for conduit in self.conduits]
        titles += [("types", "Types")] if self.types else []
        titles += [("layouts", "Layouts")] if self.tables.layouts else []
        titles += [(self.family_key(f), f"Statuses {f.name}") for f in self.families]
        titles += [(f"operands {i}", f"Operand ids {o.name}") for i, o in enumerate(self.operands)]
        return titles

    def blocks(self, headings: Headings, leaves: Mapping[str, str]) -> list[list[str]]:
        """The end of the page; `leaves` has the anchors of leaves by name."""
        found: list[list[str]] = []
        for conduit in self.conduits:
            found += self._conduit(conduit, headings, leaves)
        if self.types:
            found += [["## Types"], _types(self.types, leaves)]
        if self.tables.layouts:
            found += [["## Layouts"], self._layouts(leaves)]
        for family in self.families:
            found += self._family(family, headings, leaves)
        for operands in self.operands:
            found.append([f"## Operand ids {code_span(operands.name)}"])
            found += _paragraphs(operands.doc, leaves)
            found.append(_codes(operands.codes.values(), "#x", leaves))
        return found

    def _conduit(
        self, conduit: Conduit, headings: Headings, leaves: Mapping[str, str]
    ) -> list[list[str]]:
        instruction = conduit.instruction
        code = code_span(instruction.code.hex(" "))
        facts = [f"Instruction {code_span(instruction.name)}, {code}."]
        for selector in sorted(conduit.selectors, key=lambda s: abi_order(s.place.register)):
            facts.append(f"{code_span(f'{selector.place} = {show(selector.value)}')}.")
        families = " or ".join(
            headings.link(self.family_key(family), family.name) for family in conduit.families
        )
        of = f", of {families}" if families else ""
        status = conduit.status
        facts.append("No status." if status is None else f"Status in {code_span(str(status))}{of}.")
        return [
            [f"## Conduit {code_span(conduit.name)}"],
            *_paragraphs(conduit.doc, leaves),
            bullets(facts),
        ]

    def _layouts(self, leaves: Mapping[str, str]) -> list[str]:
        rows = []
        for layout in self.tables.layouts:
            name = code_span(self.tables.layout_name(layout))
            where = "defined elsewhere" if layout.extern else ""
            said = markdown(" ".join(paragraphs(layout.doc)), leaves)
            rows.append((name, code_span(f"struct {layout.name}"), "", where, said))
            for member in sorted(layout.members, key=lambda member: member.offset):
                place = f"{name} {code_span(member.name)}"
                said = markdown(" ".join(paragraphs(member.doc)), leaves)
                rows.append((place, "", code_span(member.register), f"{member.offset}", said))
        return table(("Layout", "In C", "Register", "Offset in bytes", "Meaning"), rows)

    def _family(
        self, family: StatusFamily, headings: Headings, leaves: Mapping[str, str]
    ) -> list[list[str]]:
        facts = []
        if family.success is not None:
            tests = " or ".join(match_words(m, "status", 0, [family]) for m in family.success)
            facts.append(f"Success: {tests or 'never'}.")
        if family.detail:
            bits = mask_words(family.detail)
            facts.append(f"Detail in {bits}{self._detail_of(family, headings)}.")
        if family.ignored:
            facts.append(f"Not compared: {mask_words(family.ignored)}.")
        return [
            [f"## Statuses {code_span(family.name)}"],
            *_paragraphs(family.doc, leaves),
            bullets(facts),
            _codes(family.codes.values(), "#018x", leaves),
        ]

    def _detail_of(self, family: StatusFamily, headings: Headings) -> str:
        if family.operands is None:
            return ""
        index = self.operands.index(family.operands)
        return f", of {headings.link(f'operands {index}', family.operands.name)}"


def conduit_key(conduit: Conduit) -> str:
    """The key of a conduit's heading."""
    return f"conduit {conduit.name}"


def success_words(plan: Plan) -> str:
    """What success is, as Markdown: "success is `rax[63:62] == 0`"."""
    if plan.success is None or plan.status is None:
        return "nothing says what success is"
    place, families = plan.status, plan.conduit.families
    tests = [match_words(m, place.register, place.low, families) for m in plan.success]
    return f"success is {' or '.join(tests)}" if tests else "no status is success"


def match_words(match: Match, name: str, base: int, families: Iterable[StatusFamily]) -> str:
    """A comparison as code of Markdown: of bits beside each other, or with a status.

    What is compared is called `name`, and bit 0 of the status is its bit `base`.
    """
    low, high = span_of(match.mask) if match.mask else (0, 63)
    if match.mask == slice_mask(low, high) != ALL_BITS:
        bits = show_bits(name, low + base, high + base)
        return code_span(f"{bits} == {show_number(match.value >> low)}")
    for family in families:
        for code in family.codes.values():
            if match in family.matches(code, None):
                return code_span(code.name)
            if match in family.matches(code, "*"):
                return code_span(f"{code.name}(*)")
    value = f"{name} >> {base}" if base else name
    return code_span(f"{value} & {match.mask:#x} == {match.value:#x}")


def mask_words(mask: int) -> str:
    """Bits of a status in words: "bits 31:0", "bit 60", "bits of 0x..."."""
    low, high = span_of(mask)
    if mask != slice_mask(low, high):
        return f"bits of {code_span(f'{mask:#x}')}"
    return f"bit {low}" if low == high else f"bits {high}:{low}"


def _paragraphs(doc: str, leaves: Mapping[str, str]) -> list[list[str]]:
    return [[paragraph(line, leaves)] for line in paragraphs(doc)]


def paragraph(line: str, leaves: Mapping[str, str]) -> str:
    """One of `paragraphs` as Markdown; it may be the item of a list."""
    item = "- " if line.startswith("- ") else ""
    return item + markdown(line.removeprefix("- "), leaves)


def _types(types: Iterable[tuple[str, Type]], leaves: Mapping[str, str]) -> list[str]:
    rows = []
    for name, kind in types:
        doc = markdown(" ".join(paragraphs(kind.doc)), leaves)
        rows.append((code_span(name), code_span(c_type(kind)), markdown(promise_words(kind)), doc))
        for field in sorted(kind.fields, key=lambda f: -f.low):
            bits = show_bits(field.name, field.low, field.high)
            doc = markdown(" ".join(paragraphs(field.doc)), leaves)
            rows.append((f"{code_span(name)} {code_span(bits)}", "", "", doc))
    return table(("Type", "In C", "Promise", "Meaning"), rows)


def _codes(codes: Iterable[StatusCode], form: str, leaves: Mapping[str, str]) -> list[str]:
    rows = []
    for code in codes:
        values = ", ".join(code_span(format(value, form)) for value in code.values)
        doc = markdown(" ".join(paragraphs(code.doc)), leaves)
        rows.append((code_span(code.name), values, doc))
    return table(("Name", "Value", "Meaning"), rows)
