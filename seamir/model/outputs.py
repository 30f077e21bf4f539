"""Checks outputs: where each comes from, when it counts, and what is there if nobody wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from seamir.model.declarations import Declarations
from seamir.model.entities import (
    NOWHERE,
    Array,
    Bits,
    Conduit,
    Element,
    Operand,
    Output,
    Parameter,
)
from seamir.model.expressions import Constant, fold
from seamir.model.names import check_c_name, check_not_register
from seamir.model.order import names_in
from seamir.model.places import check_bits, expand_registers, may_name
from seamir.model.registers import CARRY_FLAG, NEVER_EXPOSED
from seamir.model.scope import Scope, suggest
from seamir.model.shapes import ShapeChecker
from seamir.model.statuses import Match, MatchSet, StatusTest
from seamir.model.types import BUILTIN_TYPES, UNKNOWN_TYPE, Layout, Type
from seamir.model.values import ValueChecker
from seamir.syntax import ast

# Of an exposure mask; the instruction itself says in RAX what became of it.
_NEVER_RETURNED = NEVER_EXPOSED - {"rax"}


@dataclass(frozen=True)
class Context:
    """What the outputs of a leaf are checked against."""

    scope: Scope
    conduit: Conduit
    parameters: Mapping[str, Parameter]
    operands: tuple[Operand, ...]
    allows_rbp: bool


@dataclass(frozen=True)
class _Part:
    """A register of an output, and the element that it is, if the output has several."""

    place: Bits
    element: Element | None


class OutputChecker:
    """Checks the outputs of leaves."""

    def __init__(self, declarations: Declarations, shapes: ShapeChecker) -> None:
        self._declarations = declarations
        self._sink = declarations.sink
        self._shapes = shapes

    def outputs(self, entries: Iterable[ast.Output], context: Context) -> tuple[Output, ...]:
        """The checked outputs, arrays and layouts register by register."""
        groups: dict[str, list[Output]] = {}
        for entry in entries:
            made = self._output(entry, context)
            first = groups.setdefault(entry.name.text, made)
            if first is not made:
                notes = [("the first is here", first[0].span)]
                message = f"output {entry.name.text} is there twice"
                self._sink.report("E0207", message, entry.name.span, notes=notes)
        outputs = tuple(output for group in groups.values() for output in group)
        self._check_preloads(outputs)
        return outputs

    def _output(self, entry: ast.Output, context: Context) -> list[Output]:
        """The outputs that an entry makes: one, or one for each element."""
        name = entry.name.text
        check_c_name(entry.name, "an output", self._sink)
        check_not_register(entry.name, "an output", self._sink)
        shape, kind = self._shape_and_type(entry, context)
        test = self.condition(entry.condition, context.conduit) if entry.condition else None
        parts = self._parts(entry, shape, kind, context)
        preload = self._preload(entry, [part.place for part in parts], context)
        in_out = name in context.parameters
        if in_out and entry.optional:
            message = f"{name} is read at entry, so it cannot be optional"
            self._sink.report("E0603", message, entry.span)
        return [
            Output(
                name=part.element.name if part.element else name,
                group=name,
                offset=part.element.offset if part.element else 0,
                shape=shape,
                type=kind,
                place=part.place,
                test=test,
                preload=preload,
                optional=entry.optional,
                in_out=in_out,
                doc=entry.doc,
                span=entry.name.span,
            )
            for part in parts
        ]

    # -- types

    def _shape_and_type(
        self, entry: ast.Output, context: Context
    ) -> tuple[Array | Layout | None, Type]:
        """What an output is in memory, and the type of its values."""
        parameter = context.parameters.get(entry.name.text)
        u64 = BUILTIN_TYPES["u64"]
        if entry.type is None:
            if parameter is None:
                return None, u64
            return self._returning(entry, parameter), parameter.type
        if self._declarations.names_layout(entry.type, context.scope):
            self._shapes.report_array_of_layouts(entry)
            layout = self._declarations.layout(entry.type, context.scope)
            if layout is None:
                return None, UNKNOWN_TYPE
            self._check_same(entry, layout, u64, parameter)
            return layout, u64
        kind = self._declarations.type(entry.type, context.scope) or UNKNOWN_TYPE
        shape = None if entry.array is None else self._shapes.array(entry.array)
        if shape is not None and shape.count is not None:
            assert entry.array is not None
            if parameter is None:  # else it is said of the parameter
                message = "an output array has a fixed number of elements"
                help = f"write `{entry.type.text}[{shape.length}]`"
                self._sink.report("E0312", message, entry.array.span, help=help)
            shape = Array(shape.length)
        self._check_same(entry, shape, kind, parameter)
        return shape, kind

    def _returning(self, entry: ast.Output, parameter: Parameter) -> Array | Layout | None:
        """The shape of a parameter that comes back; reports one of unknown length."""
        shape = parameter.shape
        if isinstance(shape, Array) and shape.count is not None:
            message = f"{parameter.name} has a run-time bound, so it cannot come back"
            notes = [("it goes in here", parameter.span)]
            help = "give the output a name of its own and a fixed number of elements"
            self._sink.report("E0312", message, entry.name.span, notes=notes, help=help)
            return Array(shape.length)
        return shape

    def _check_same(
        self,
        entry: ast.Output,
        shape: Array | Layout | None,
        kind: Type,
        parameter: Parameter | None,
    ) -> None:
        """Reports an in/out value that would come back as another type than it goes in."""
        if parameter is None or UNKNOWN_TYPE in (kind, parameter.type):
            return
        assert entry.type is not None
        if kind == parameter.type and shape == self._returning(entry, parameter):
            return
        name = entry.name.text
        goes, comes = type_words(parameter.type, parameter.shape), type_words(kind, shape)
        message = f"{name} goes in as {goes}, so it cannot come out as {comes}"
        notes = [("it goes in here", parameter.span)]
        help = "leave the type out, or give the output a name of its own"
        self._sink.report("E0309", message, entry.type.span, notes=notes, help=help)

    # -- places

    def _parts(
        self, entry: ast.Output, shape: Array | Layout | None, kind: Type, context: Context
    ) -> list[_Part]:
        """The registers of an output; one that is nowhere stands for what was reported."""
        nowhere = [_Part(Bits(NOWHERE, 0, 63, entry.place.span), None)]
        if isinstance(entry.place, ast.RegisterFile):
            return self._several(entry, entry.place, shape, kind, context) or nowhere
        if shape is not None:
            message = f"{entry.name.text} is several values, which need a list of registers"
            help = "for example `{rdx, r8}` or `r8..r11`"
            self._sink.report("E0313", message, entry.place.span, help=help)
            return nowhere
        if isinstance(entry.place, ast.CarryFlag):
            place = self._carry(entry.place, context.conduit)
            return nowhere if place is None else [_Part(place, None)]
        bits = check_bits(entry.place, self._declarations)
        if bits is None or not self._may_return(bits, context):
            return nowhere
        self._check_width(entry, bits, kind)
        return [_Part(bits, None)]

    def _several(
        self,
        entry: ast.Output,
        file: ast.RegisterFile,
        shape: Array | Layout | None,
        kind: Type,
        context: Context,
    ) -> list[_Part]:
        registers = expand_registers(file.registers, self._sink)
        if shape is None:
            if kind == UNKNOWN_TYPE:
                return []
            message = f"{entry.name.text} is one value and this is a list of registers"
            help = f"make it an array: `{entry.name.text}: {kind.name}[{max(len(registers), 1)}]`"
            self._sink.report("E0313", message, file.span, help=help)
            return []
        if not registers:
            return []
        elements = self._shapes.match(entry.name.text, shape, kind, registers, file)
        parts = []
        for register, element in elements.items():
            place = Bits(register, 0, 63, registers[register])
            if self._may_return(place, context, in_list=True):
                parts.append(_Part(place, element))
        if kind.c_base == "bool":
            message = "a bool is taken from one bit, and a list has whole registers"
            self._sink.report("E0310", message, file.span, help="make it an array of u8")
        return parts

    def _carry(self, item: ast.CarryFlag, conduit: Conduit) -> Bits | None:
        """The carry flag as a place; reports where it has another meaning, or none."""
        if not conduit.instruction.sets_carry:
            message = f"{conduit.instruction.name} does not report through the carry flag"
            self._sink.report("E0502", message, item.span)
            return None
        if conduit.edges.carry is not None:
            notes = [("it is an outcome here", conduit.edges.carry.span)]
            message = f"in conduit {conduit.name} the carry flag says that a call did not complete"
            help = "an output needs a conduit without `on carry`"
            self._sink.report("E0418", message, item.span, notes=notes, help=help)
            return None
        return Bits(CARRY_FLAG, 0, 0, item.span)

    def _may_return(self, place: Bits, context: Context, *, in_list: bool = False) -> bool:
        """Reports registers that a leaf cannot use as output."""
        if context.conduit.exposes and place.register in _NEVER_RETURNED:
            message = f"{place.register} is never exposed, so nothing comes back in it"
            self._sink.report("E0416", message, place.span)
            return False
        status = context.conduit.status
        whole = (place.low, place.high) == (0, 63)
        if status is not None and place.register == status.register and whole:
            notes = [("the conduit says so here", status.span)]
            message = f"{place.register} returns the status of conduit {context.conduit.name}"
            help = f"a part of it can be an output: {place.register}[31:0]"
            self._sink.report(
                "E0408", message, place.span, notes=notes, help=None if in_list else help
            )
            return False
        return may_name(place, context.allows_rbp, self._sink)

    def _check_width(self, entry: ast.Output, place: Bits, kind: Type) -> None:
        if kind.c_base == "bool" and place.width != 1:
            message = "a bool is taken from one bit"
            help = f"write {place.register}[0]"
            self._sink.report("E0310", message, entry.place.span, help=help)
        elif place.width < 64 and place.width > kind.width:
            message = f"{place} has {place.width} bits and {kind.name} has {kind.width}"
            self._sink.report("E0310", message, entry.place.span)

    # -- preloads

    def _preload(self, entry: ast.Output, places: list[Bits], context: Context) -> int | None:
        if entry.preload is None:
            return None
        for place in places:
            if not self._may_preload(entry, entry.preload, place.register, context):
                return None
        read = next((name for name in names_in(entry.preload) if name in context.parameters), None)
        if read is not None:
            message = f"`else` loads a constant, and {read} is a parameter"
            help = f"a parameter is loaded by an operand: `{places[0].register} = {read};`"
            self._sink.report("E0410", message, entry.preload.span, help=help)
            return None
        families = context.conduit.families
        values = ValueChecker(self._declarations, context.scope, families=families)
        value = values.check(entry.preload)
        folded = fold(value) if value is not None else None
        return folded.value if isinstance(folded, Constant) else None

    def _may_preload(
        self, entry: ast.Output, value: ast.Expr, register: str, context: Context
    ) -> bool:
        """Reports registers that `else` cannot load."""
        if register == CARRY_FLAG:
            message = "the instruction sets the carry flag always, so `else` says nothing"
            self._sink.report("E0410", message, value.span)
            return False
        conduit = context.conduit
        if conduit.exposes and register in NEVER_EXPOSED and register not in conduit.assigned:
            message = f"{register} is never exposed, so the other side gets nothing in it"
            self._sink.report("E0416", message, value.span)
            return False
        if register in conduit.assigned:
            notes = [("the conduit loads it here", conduit.assigned[register])]
            message = f"{register} belongs to conduit {conduit.name}, so `else` cannot load it"
            self._sink.report("E0410", message, value.span, notes=notes)
            return False
        for operand in context.operands:
            if operand.place.register == register:
                notes = [("the operand is here", operand.span)]
                message = f"{register} is an operand, so `else` cannot load it"
                self._sink.report("E0410", message, value.span, notes=notes)
                return False
        return True

    def _check_preloads(self, outputs: Iterable[Output]) -> None:
        chosen: dict[str, Output] = {}
        for output in outputs:
            if output.preload is None:
                continue
            first = chosen.setdefault(output.place.register, output)
            if first.preload != output.preload:
                notes = [("the other is here", first.span)]
                message = f"{output.place.register} cannot be loaded with two values"
                self._sink.report("E0410", message, output.span, notes=notes)

    # -- conditions

    def condition(self, item: ast.Condition, conduit: Conduit) -> StatusTest | None:
        """The checked `on` of an output."""
        if conduit.status is None:
            message = f"conduit {conduit.name} has no status, so a condition says nothing"
            help = "leave out `on`: an output is stored whenever the call completed"
            self._sink.report("E0417", message, item.span, help=help)
            return None
        success = success_of(conduit)
        any_of: tuple[Match, ...] = ()
        inverted = False
        words: list[str] = []
        for tested in item.alternatives:
            if isinstance(tested.what, ast.Pattern):
                words.append(tested.span.text)
                continue
            if success is None:
                message = f"no status family of {conduit.name} says what success is"
                help = "for example `success bits [63:62] == 0;`"
                self._sink.report("E0504", message, tested.span, help=help)
                return None
            if tested.what in words:
                self._sink.report("E0505", f"`{tested.what}` is said twice", tested.span)
            elif any_of:
                message = "a call succeeds or fails: this condition always holds"
                help = "an output without `on` is stored whenever the call completed"
                self._sink.report("E0505", message, item.span, help=help)
            words.append(tested.what)
            any_of, inverted = success, tested.what == "error"
        listed = [t.what for t in item.alternatives if isinstance(t.what, ast.Pattern)]
        listed = [p for p in listed if not self._is_misspelt_word(p, conduit)]
        patterns = self._declarations.patterns(listed, conduit.families, "E0505")
        excepted = self._declarations.patterns(item.exceptions, conduit.families, "E0505")
        test = StatusTest(any_of, inverted, tuple(patterns))
        self._report_idle(item, listed, test, conduit)
        text = " or ".join(words)
        if item.exceptions:
            text += " except " + " or ".join(pattern.span.text for pattern in item.exceptions)
        return replace(test, none_of=tuple(excepted), text=text)

    def _report_idle(
        self, item: ast.Condition, listed: list[ast.Pattern], test: StatusTest, conduit: Conduit
    ) -> None:
        """Reports statuses that `success` or `error` has, and exceptions from nothing."""
        success, named = MatchSet(test.any_of), MatchSet(test.or_any_of)

        def has_all(match: Match) -> bool:
            return (
                not success.overlaps(MatchSet([match])) if test.inverted else success.covers(match)
            )

        def has_none(match: Match) -> bool:
            if named.overlaps(MatchSet([match])):
                return False
            return (
                success.covers(match) if test.inverted else not success.overlaps(MatchSet([match]))
            )

        for pattern in listed:
            matches = self._declarations.pattern(pattern, conduit.families)
            if matches and all(has_all(match) for match in matches):
                what = "an error" if test.inverted else "success"
                message = f"`{pattern.span.text}` is {what}, which is listed"
                self._sink.report("E0505", message, pattern.span)
        for pattern in item.exceptions:
            matches = self._declarations.pattern(pattern, conduit.families)
            if matches and all(has_none(match) for match in matches):
                message = f"`{pattern.span.text}` is not among the statuses before `except`"
                self._sink.report("E0505", message, pattern.span)

    def _is_misspelt_word(self, item: ast.Pattern, conduit: Conduit) -> bool:
        """Reports an unknown status that looks like `success` or `error`."""
        if any(item.name.text in family.codes for family in conduit.families):
            return False
        hint = suggest(item.name.text, self._sink, ("success", "error"))
        if hint is not None:
            message = f"there is no status `{item.name.text}`"
            self._sink.report("E0203", message, item.name.span, help=hint)
        return hint is not None


def success_of(conduit: Conduit) -> tuple[Match, ...] | None:
    """When a completed call through the conduit succeeded, by its first family that says so."""
    return next((f.success for f in conduit.families if f.success is not None), None)


def type_words(kind: Type, shape: Array | Layout | None) -> str:
    """A type as messages call it: `u64`, `hpa[2]`, the name of a layout."""
    if isinstance(shape, Layout):
        return shape.name
    if shape is None:
        return kind.name
    count = f"{shape.count} <= " if shape.count else ""
    return f"{kind.name}[{count}{shape.length}]"
