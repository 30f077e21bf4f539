"""Checks expressions: looks up their names, and proves that packed values share no bit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from seamir.model.declarations import Declarations
from seamir.model.entities import Bits
from seamir.model.expressions import (
    Binary,
    Constant,
    Expression,
    ParameterValue,
    RefusalValue,
    TrapNumber,
    fold,
    possible,
)
from seamir.model.registers import ALL_BITS, REGISTERS, slice_mask
from seamir.model.scope import Scope, suggest
from seamir.model.statuses import StatusFamily
from seamir.model.types import Type
from seamir.syntax import ast


class ValueChecker:
    """Checks the expressions of one place of a description.

    `parameters` are the values it may name besides constants, `families` the statuses; `edge` is
    the edge whose action it is, which gives `trapnr` or `refusal` a meaning; `shaped` are
    parameters that are no single value.
    """

    def __init__(
        self,
        declarations: Declarations,
        scope: Scope,
        parameters: Mapping[str, Expression] | None = None,
        types: Mapping[str, Type] | None = None,
        families: Iterable[StatusFamily] = (),
        *,
        edge: str = "",
        shaped: Collection[str] = (),
    ) -> None:
        self._declarations = declarations
        self._sink = declarations.sink
        self._scope = scope
        self._parameters = dict(parameters or {})
        self._types = dict(types or {})
        self._families = tuple(families)
        self._edge = edge
        self._shaped = shaped

    def check(self, item: ast.Expr) -> Expression | None:
        """The expression with its names resolved; None after a report."""
        if isinstance(item, ast.LiteralExpr):
            return Constant(item.value)
        if isinstance(item, ast.NameExpr):
            return self._name(item)
        left, right = self.check(item.left), self.check(item.right)
        if left is None or right is None:
            return None
        value = Binary(item.operator, left, right)
        return value if self._check_operator(item, value) else None

    def _name(self, item: ast.NameExpr) -> Expression | None:
        if item.family is not None:
            return self._qualified(item.family, item.name)
        text = item.name.text
        if text in self._parameters:
            return self._parameters[text]
        if text == "trapnr" and self._edge == "fault":
            return TrapNumber()
        if text == "refusal" and self._edge == "refused":
            return RefusalValue()
        if self._scope.find("constant", text):
            value = self._declarations.constant(item.name, self._scope)
            return None if value is None else Constant(value, text)
        values = {f.name: f.codes[text].values[0] for f in self._families if text in f.codes}
        if len(set(values.values())) > 1:
            message = f"`{text}` has different values in {' and '.join(values)}"
            help = f"write `{next(iter(values))}.{text}` or another of them"
            self._sink.report("E0210", message, item.name.span, help=help)
            return None
        if values:
            return Constant(next(iter(values.values())), text)
        self._report_unknown(item.name)
        return None

    def _report_unknown(self, name: ast.Name) -> None:
        if name.text in self._shaped:
            message = f"`{name.text}` is an array or a layout, which is no single value"
            mend = f"a list of registers takes its values: `{{rcx, rdx}} = {name.text};`"
            self._sink.report("E0313", message, name.span, help=mend)
            return
        help: str | None
        if name.text == "trapnr":
            help = "`trapnr` is known in the action of `on fault` only"
        elif name.text == "refusal":
            help = "`refusal` is known in the action of `on refused` only"
        elif name.text == "exposed":
            help = "`exposed` is known in conduits only: it is a leaf's own exposure mask"
        elif name.text in REGISTERS:
            help = "registers cannot be read; an output says what a call leaves in one"
        else:
            codes = [family.codes for family in self._families]
            constants = self._scope.names("constant")
            help = (
                self._of_another_family(name.text)
                or self._scope.elsewhere("constant", name.text, self._sink)
                or suggest(name.text, self._sink, self._parameters, constants, *codes)
            )
        message = f"there is no parameter or constant `{name.text}` here"
        self._sink.report("E0202", message, name.span, help=help)

    def _of_another_family(self, text: str) -> str | None:
        """How to write a status of a family that is seen and not this place's."""
        for family in self._scope.names("statuses"):
            for _, item in self._scope.find("statuses", family):
                if not isinstance(item, ast.StatusesItem) or not self._sink.afford(len(item.items)):
                    continue
                if any(isinstance(e, ast.Code) and e.name.text == text for e in item.items):
                    return f"it is a status of {family}: write `{family}.{text}`"
        return None

    def _qualified(self, family_name: ast.Name, name: ast.Name) -> Expression | None:
        if family_name.text in self._shaped:
            self._report_unknown(family_name)
            return None
        family = self._declarations.family(family_name, self._scope)
        if family is None:
            return None
        if name.text not in family.codes:
            message = f"there is no status `{name.text}` in {family.name}"
            hint = suggest(name.text, self._sink, family.codes)
            self._sink.report("E0203", message, name.span, help=hint)
            return None
        return Constant(family.codes[name.text].values[0], name.text)

    def _check_operator(self, item: ast.BinaryExpr, value: Binary) -> bool:
        left, right = possible(value.left), possible(value.right)
        if item.operator == "|" and left.bits & right.bits:
            shared = _describe_bits(left.bits & right.bits)
            message = f"`{item.left.span.text}` and `{item.right.span.text}` may both have {shared}"
            help: str | None = "give their types bits, such as u64[51:12], or shift one of them"
            if isinstance(fold(value), Constant):
                help = "use `+` to add constants"
            notes = [
                (f"this value may have {_describe_bits(left.bits)}", item.left.span),
                (f"this value may have {_describe_bits(right.bits)}", item.right.span),
            ]
            self._sink.report("E0307", message, item.span, notes=notes, help=help)
            return False
        if item.operator in ("<<", ">>"):
            if not isinstance(value.right, Constant) or value.right.value > 63:
                message = "a value is shifted by a constant of 0 to 63"
                self._sink.report("E0308", message, item.right.span)
                return False
            lost = (left.bits << value.right.value) & ~ALL_BITS
            if item.operator == "<<" and lost:
                message = f"`{item.left.span.text}` may lose bits when shifted that far"
                help = "a slice shifts too, and has to be wide enough: `rcx[23:16] = ...`"
                self._sink.report("E0308", message, item.span, help=help)
                return False
        if item.operator in ("+", "-"):
            return self._check_mixing(item)
        return True

    def _check_mixing(self, item: ast.BinaryExpr) -> bool:
        kinds = [self._type_of(item.left), self._type_of(item.right)]
        if None in kinds or kinds[0] == kinds[1]:
            return True
        left, right = kinds[0], kinds[1]
        assert left is not None and right is not None
        if left.base is None or right.base is None:  # a builtin type mixes with all
            return True
        message = f"`{item.operator}` mixes {left.name} and {right.name}"
        self._sink.report("E0309", message, item.span, help="use a builtin type for one of them")
        return False

    def _type_of(self, item: ast.Expr) -> Type | None:
        if isinstance(item, ast.NameExpr) and item.family is None:
            return self._types.get(item.name.text)
        if isinstance(item, ast.BinaryExpr) and item.operator in ("+", "-"):
            return self._type_of(item.left) or self._type_of(item.right)
        return None

    def check_fits(self, item: ast.Expr, value: Expression, place: Bits) -> bool:
        """Reports E0304 if the value may be larger than the bits it is put into."""
        known = possible(value)
        if known.high < 1 << place.width:
            return True
        constant = fold(value)
        if isinstance(constant, Constant):
            message = f"{constant.value:#x} does not fit {place}, which has {_count(place.width)}"
            help = f"the largest value there is {(1 << place.width) - 1:#x}"
            self._sink.report("E0304", message, item.span, help=help)
            return False
        message = f"`{item.span.text}` may not fit {place}, which has {_count(place.width)}"
        lowest = (known.bits & -known.bits).bit_length() - 1
        kind = self._type_of(item)
        help = "give it a type whose range or bits are small enough"
        if lowest > 0 and known.high >> lowest < 1 << place.width:
            help = f"write `{item.span.text} >> {lowest}`"
            if not known.bits & ~slice_mask(place.low, place.high):
                help += ", or no slice: the value is in position already"
        elif kind is not None and kind.signed:
            help = "it may be negative, and then its sign fills 64 bits; use an unsigned type"
        self._sink.report("E0304", message, item.span, help=help)
        return False


def substitute(value: Expression, values: Mapping[str, Expression]) -> Expression:
    """The expression with named values replaced by others."""
    if isinstance(value, ParameterValue) and value.name in values:
        return values[value.name]
    if isinstance(value, Binary):
        left = substitute(value.left, values)
        return Binary(value.operator, left, substitute(value.right, values))
    return value


def _count(bits: int) -> str:
    return "1 bit" if bits == 1 else f"{bits} bits"


def _describe_bits(mask: int) -> str:
    """Bits of a mask in words: "bit 3" or "bits 51:12, 2:0"."""
    runs: list[str] = []
    bit = 63
    while bit >= 0:
        if not mask >> bit & 1:
            bit -= 1
            continue
        high = bit
        while bit >= 0 and mask >> bit & 1:
            bit -= 1
        runs.append(str(high) if high == bit + 1 else f"{high}:{bit + 1}")
    word = "bit" if len(runs) == 1 and ":" not in runs[0] else "bits"
    return f"{word} {', '.join(runs)}"
