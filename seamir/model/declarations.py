"""Resolves types, bits, constants, operand ids and status families.

Each item is resolved when first used, in the scope of its own file, and kept. What is wrong with
it is reported once; None stands for an item that could not be resolved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar, cast

from seamir.diagnostics import Diagnostics
from seamir.model.expressions import Constant, fold
from seamir.model.layouts import make_layout
from seamir.model.names import check_c_name
from seamir.model.order import Resolved, needed_first
from seamir.model.registers import slice_mask
from seamir.model.scope import Scope, suggest
from seamir.model.statuses import Match, MatchSet, OperandIds, StatusCode, StatusFamily
from seamir.model.types import (
    BUILTIN_TYPES,
    Field,
    Layout,
    Type,
    bits_mask,
    extend,
    has_value,
    possible_of,
)
from seamir.source import Span
from seamir.syntax import ast

Entity = TypeVar("Entity")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Declarations:
    """Resolved items of all files of a compilation."""

    def __init__(self, sink: Diagnostics) -> None:
        self.sink = sink
        self._done: dict[int, object] = {}

    def _once(self, item: ast.Item, make: Callable[[], Entity | None]) -> Entity | None:
        """The entity of an item, made at the first call."""
        key = id(item)
        if key not in self._done:
            self._done[key] = make()
        return self._done[key]  # type: ignore[return-value]  # what `make` returned

    def _resolve(self, scope: Scope, item: Resolved) -> None:
        """Resolves an item after all that it needs; reports items that need themselves."""
        for where, other, needs_itself in needed_first(scope, item, self._done):
            if needs_itself:
                message = f"`{other.name.text}` is defined in terms of itself"
                self.sink.report("E0211", message, other.name.span)
                self._done[id(other)] = None
            elif isinstance(other, ast.ConstItem):
                self._done[id(other)] = self._make_constant(other, where)
            elif isinstance(other, ast.BitsItem):
                self._done[id(other)] = self._make_bits(other)
            else:
                self._done[id(other)] = self._make_type(other, where)

    # -- slices

    def slice_bits(self, item: ast.Slice, width: int = 64) -> tuple[int, int] | None:
        """Low and high bit of a slice; reports one that is empty or too high."""
        low, high = item.low.value, item.high.value
        if high < low:
            message = f"bits {high}:{low} are the wrong way round"
            self.sink.report("E0301", message, item.span, help=f"write [{low}:{high}]")
            return None
        if high >= width:
            message = f"there is no bit {high}: the highest is {width - 1}"
            self.sink.report("E0301", message, item.span)
            return None
        return low, high

    # -- types

    def type(self, name: ast.Name, scope: Scope) -> Type | None:
        """The type of that name in a scope."""
        builtin = BUILTIN_TYPES.get(name.text)
        if builtin is not None:
            return builtin
        if not scope.find("type", name.text):
            c_type = re.fullmatch(r"(?:__)?(u|s|)(?:int)?(8|16|32|64)(?:_t)?", name.text)
            hint = suggest(name.text, self.sink, BUILTIN_TYPES, scope.names("type"))
            if c_type is not None:
                hint = f"did you mean `{c_type[1] or 's'}{c_type[2]}`?"
            if hint is not None:
                message = f"there is no type `{name.text}` here"
                self.sink.report("E0201", message, name.span, help=hint)
                return None
        if self.names_layout(name, scope):
            message = f"`{name.text}` is a layout, which is many values and none by itself"
            help = "a parameter can have it as its type: a pointer to the structure"
            self.sink.report("E0313", message, name.span, help=help)
            return None
        found = scope.look_up("type", name, ast.TypeItem | ast.BitsItem, self.sink)  # type: ignore[arg-type]  # a union of classes, which isinstance takes
        if found is None:
            return None
        return self.type_of_item(*found)

    def type_of_item(self, scope: Scope, item: ast.TypeItem | ast.BitsItem) -> Type | None:
        """The type that an item defines."""
        self._resolve(scope, item)
        return cast("Type | None", self._done[id(item)])

    # -- layouts

    def names_layout(self, name: ast.Name, scope: Scope) -> bool:
        """Whether a layout has that name, be it a wrong one."""
        found = scope.find("type", name.text)
        return bool(found) and all(isinstance(item, ast.LayoutItem) for _, item in found)

    def layout(self, name: ast.Name, scope: Scope) -> Layout | None:
        """The layout of that name; None without a report if it names none."""
        if not self.names_layout(name, scope):
            return None
        found = scope.look_up("type", name, ast.LayoutItem, self.sink)
        return None if found is None else self.layout_of_item(found[1])

    def layout_of_item(self, item: ast.LayoutItem) -> Layout | None:
        """The layout that an item defines."""
        return self._once(item, lambda: make_layout(item, self.sink))

    def _make_type(self, item: ast.TypeItem, scope: Scope) -> Type | None:
        if item.name.text in BUILTIN_TYPES:
            self.sink.report("E0207", f"type {item.name.text} is built in", item.name.span)
            return None
        base = self.type(item.base, scope)
        if base is None:
            return None
        bits, low, high = base.bits, base.low, base.high
        if item.slice is not None:
            place = self.slice_bits(item.slice, base.width)
            if place is None:
                return None
            bits &= slice_mask(*place)
            if base.signed:
                self.sink.report("E0302", "a signed type cannot have bits", item.slice.span)
                return None
            high = min(high, bits)
        if item.range is not None:
            limits = f"{base.low}..{base.high}"
            if item.range.low > item.range.high:
                self.sink.report("E0303", "this range is empty", item.range.span)
                return None
            if item.range.low < base.low or item.range.high > base.high:
                message = f"this range is not within {base.name}, which is {limits}"
                self.sink.report("E0303", message, item.range.span)
                return None
            low, high = max(low, item.range.low), min(high, item.range.high)
        said = item.range or item.slice
        if said is not None and not base.constants and not has_value(low, high, bits):
            message = f"no value of {base.name} keeps this promise and all those before it"
            self.sink.report("E0303", message, said.span)
            return None
        result = Type(
            name=item.name.text,
            width=base.width,
            signed=base.signed,
            c_base=base.c_base,
            possible=possible_of(low, high, bits),
            low=low,
            high=high,
            bits=bits,
            constants=base.constants,
            c_name=self._c_name(item.spelling) or base.c_name,
            fields=base.fields,
            base=base,
            doc=item.doc,
            span=item.name.span,
        )
        return self._with_constants(result, item, scope)

    def _with_constants(self, kind: Type, item: ast.TypeItem, scope: Scope) -> Type | None:
        values = list(kind.constants)
        for name in item.constants:
            value = self.constant(name, scope)
            if value is not None and value >> kind.width:
                message = f"{name.text} does not fit the {kind.width} bits of {kind.name}"
                self.sink.report("E0304", message, name.span)
                value = None
            values.append(value or 0)
        possible = possible_of(kind.low, kind.high, kind.bits)
        for value in values:
            possible = possible.also(extend(value, kind.width, kind.signed))
        return replace(kind, constants=tuple(values), possible=possible)

    def _c_name(self, spelling: ast.Text | None) -> str | None:
        if spelling is None:
            return None
        if not _IDENTIFIER.fullmatch(spelling.value):
            message = "a C spelling is one identifier"
            self.sink.report("E0209", message, spelling.span, help='for example as "hpa_t"')
            return None
        check_c_name(spelling, "a type", self.sink)
        return spelling.value

    def _make_bits(self, item: ast.BitsItem) -> Type | None:
        if not item.fields:
            self.sink.report("E0306", f"bits {item.name.text} has no field", item.name.span)
            return None
        fields: list[Field] = []  # at most one a bit
        names: dict[str, Span] = {}
        for entry in item.fields:
            check_c_name(entry.name, "a field", self.sink)
            first = names.setdefault(entry.name.text, entry.name.span)
            if first is not entry.name.span:
                notes = [("it is defined here already", first)]
                message = f"field {entry.name.text} is defined twice"
                self.sink.report("E0207", message, entry.name.span, notes=notes)
            place = self.slice_bits(entry.slice)
            if place is None:
                continue
            field = Field(entry.name.text, *place, entry.doc, entry.name.span)
            other = next((f for f in fields if _share_bits(f, field)), None)
            if other is None:
                fields.append(field)
            else:
                notes = [(f"{other.name} has them", other.span)]
                message = f"{field.name} shares bits with {other.name}"
                self.sink.report("E0305", message, entry.slice.span, notes=notes)
        mask = bits_mask(tuple(fields))
        check_c_name(item.name, "a type", self.sink)
        return Type(
            name=item.name.text,
            width=64,
            signed=False,
            c_base="u64",
            possible=possible_of(0, mask, mask),
            low=0,
            high=mask,
            bits=mask,
            c_name=self._c_name(item.spelling),
            fields=tuple(fields),
            base=BUILTIN_TYPES["u64"],
            doc=item.doc,
            span=item.name.span,
        )

    # -- constants

    def constant(self, name: ast.Name, scope: Scope) -> int | None:
        """The value of a constant."""
        found = scope.look_up("constant", name, ast.ConstItem, self.sink)
        if found is None:
            return None
        where, item = found
        return self.constant_of_item(where, item)

    def constant_of_item(self, scope: Scope, item: ast.ConstItem) -> int | None:
        """The value that an item defines."""
        self._resolve(scope, item)
        return cast("int | None", self._done[id(item)])

    def _make_constant(self, item: ast.ConstItem, scope: Scope) -> int | None:
        from seamir.model.values import ValueChecker  # values look up constants in turn

        value = ValueChecker(self, scope).check(item.value)
        if value is None:
            return None
        folded = fold(value)
        return folded.value if isinstance(folded, Constant) else None

    # -- statuses

    def operand_ids(self, name: ast.Name, scope: Scope) -> OperandIds | None:
        """The operand ids of that name."""
        found = scope.look_up("operands", name, ast.OperandsItem, self.sink)
        if found is None:
            return None
        return self.operand_ids_of_item(found[1])

    def operand_ids_of_item(self, item: ast.OperandsItem) -> OperandIds | None:
        """The operand ids that an item defines."""
        return self._once(
            item,
            lambda: OperandIds(item.name.text, self._codes(item.codes), item.doc, item.name.span),
        )

    def _codes(self, items: tuple[ast.Code, ...]) -> dict[str, StatusCode]:
        codes: dict[str, StatusCode] = {}
        for item in items:
            code = StatusCode(
                item.name.text, tuple(v.value for v in item.values), item.doc, item.name.span
            )
            check_c_name(item.name, "a macro", self.sink)
            if code.name in codes:
                notes = [("it is defined here already", codes[code.name].span)]
                message = f"{code.name} is defined twice"
                self.sink.report("E0207", message, code.span, notes=notes)
            codes[code.name] = code
        return codes

    def family(self, name: ast.Name, scope: Scope) -> StatusFamily | None:
        """The status family of that name."""
        found = scope.look_up("statuses", name, ast.StatusesItem, self.sink)
        if found is None:
            return None
        return self.family_of_item(*found)

    def family_of_item(self, scope: Scope, item: ast.StatusesItem) -> StatusFamily | None:
        """The status family that an item defines."""
        return self._once(item, lambda: self._make_family(item, scope))

    def _make_family(self, item: ast.StatusesItem, scope: Scope) -> StatusFamily | None:
        detail_mask = detail_low = ignored = 0
        operands: OperandIds | None = None
        detail: ast.Detail | None = None
        success: ast.Success | None = None
        for entry in item.items:
            if isinstance(entry, ast.Detail):
                place = self.slice_bits(entry.slice)
                if detail is not None:
                    notes = [("they are said here already", detail.span)]
                    message = "the detail bits are said twice"
                    self.sink.report("E0207", message, entry.span, notes=notes)
                detail = entry
                if place is not None:
                    detail_mask, detail_low = slice_mask(*place), place[0]
                operands = self.operand_ids(entry.operands, scope)
            elif isinstance(entry, ast.Ignore):
                place = self.slice_bits(entry.slice)
                ignored |= slice_mask(*place) if place is not None else 0
            elif isinstance(entry, ast.Success):
                if success is not None:
                    notes = [("it is said here already", success.span)]
                    message = "what success is, is said twice"
                    self.sink.report("E0207", message, entry.span, notes=notes)
                success = success or entry
        codes = self._codes(tuple(e for e in item.items if isinstance(e, ast.Code)))
        family = StatusFamily(
            name=item.name.text,
            codes=codes,
            detail=detail_mask,
            detail_low=detail_low,
            operands=operands,
            ignored=ignored,
            success=None,
            doc=item.doc,
            span=item.name.span,
        )
        if success is None:
            return family
        return replace(family, success=self._success(success, family))

    def _success(self, item: ast.Success, family: StatusFamily) -> tuple[Match, ...]:
        matches: list[Match] = []
        for test in item.tests:
            if isinstance(test, ast.Pattern):
                matches += self.pattern(test, (family,)) or ()
                continue
            place = self.slice_bits(test.slice)
            if place is None:
                continue
            mask, value = slice_mask(*place), test.value.value << place[0]
            if value & ~mask:
                message = f"{test.value.value} does not fit bits {place[1]}:{place[0]}"
                self.sink.report("E0304", message, test.value.span)
                continue
            matches.append(Match(mask, value))
        return tuple(matches)

    def patterns(
        self, items: Iterable[ast.Pattern], families: tuple[StatusFamily, ...], code: str
    ) -> tuple[Match, ...]:
        """The comparisons of a list of patterns; reports `code` for those that add nothing."""
        found = MatchSet()
        matches: list[Match] = []
        for item in items:
            resolved = self.pattern(item, families) or ()
            if resolved and all(found.covers(match) for match in resolved):
                message = f"`{item.span.text}` is matched already by what comes before it"
                self.sink.report(code, message, item.span)
            for match in resolved:
                found.add(match)
            matches += resolved
        return tuple(matches)

    def pattern(
        self, item: ast.Pattern, families: tuple[StatusFamily, ...]
    ) -> tuple[Match, ...] | None:
        """The comparisons of a pattern; reports statuses and operand ids that nobody declares."""
        found = [family for family in families if item.name.text in family.codes]
        if not found:
            message = f"there is no status `{item.name.text}` here"
            help: str | None = "the conduit names no statuses: `status rax in FAMILY;`"
            if families:
                where = " or ".join(family.name for family in families)
                message = f"there is no status `{item.name.text}` in {where}"
                help = suggest(item.name.text, self.sink, *(family.codes for family in families))
            self.sink.report("E0203", message, item.name.span, help=help)
            return None
        family = found[0]
        code = family.codes[item.name.text]
        if any(other.codes[code.name].values != code.values for other in found[1:]):
            message = f"`{code.name}` has different values in {found[0].name} and {found[1].name}"
            self.sink.report("E0210", message, item.name.span)
            return None
        if item.detail is None:
            return family.matches(code, None)
        detail = self._detail(item, family, code)
        return None if detail is None else family.matches(code, detail)

    def _detail(
        self, item: ast.Pattern, family: StatusFamily, code: StatusCode
    ) -> tuple[int, ...] | str | None:
        """The values of the detail bits that a pattern accepts, "*" for all of them."""
        if not family.detail:
            message = f"statuses of {family.name} have no detail bits"
            self.sink.report("E0212", message, item.span)
            return None
        if isinstance(item.detail, str):
            return item.detail
        if isinstance(item.detail, ast.Integer):
            values: tuple[int, ...] = (item.detail.value,)
            span = item.detail.span
        else:
            assert item.detail is not None
            ids = family.operands.codes if family.operands else {}
            if item.detail.text not in ids:
                message = f"there is no operand id `{item.detail.text}` for {family.name}"
                hint = suggest(item.detail.text, self.sink, ids)
                self.sink.report("E0203", message, item.detail.span, help=hint)
                return None
            values, span = ids[item.detail.text].values, item.detail.span
        for value in values:
            if (value << family.detail_low) & ~family.detail:
                bits = (family.detail >> family.detail_low).bit_length()
                message = f"{value:#x} does not fit the {bits} detail bits of {family.name}"
                self.sink.report("E0304", message, span)
                return None
        if any(v & family.detail for v in code.values):
            message = f"{code.name} has detail bits of its own"
            self.sink.report("E0212", message, item.span, help=f"write {code.name} alone")
            return None
        return values


def _share_bits(a: Field, b: Field) -> bool:
    return slice_mask(a.low, a.high) & slice_mask(b.low, b.high) != 0
