"""Checks parameters and operands that are several values: arrays, and layouts of registers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from seamir.diagnostics import Diagnostics
from seamir.model.declarations import Declarations
from seamir.model.entities import (
    Array,
    Bits,
    Conduit,
    Element,
    Operand,
    Parameter,
    elements_of,
)
from seamir.model.expressions import Constant, ParameterValue, fold
from seamir.model.names import check_c_name, check_not_register
from seamir.model.places import count_registers, expand_registers
from seamir.model.registers import NEVER_EXPOSED, REGISTERS
from seamir.model.scope import Scope
from seamir.model.types import BUILTIN_TYPES, UNKNOWN_TYPE, Layout, Possible, Type
from seamir.model.values import ValueChecker
from seamir.source import Span
from seamir.syntax import ast

_MOST_ELEMENTS = len(REGISTERS) - 1  # RSP takes none


class ShapeChecker:
    """Checks what is written about arrays and layouts."""

    def __init__(self, declarations: Declarations) -> None:
        self._declarations = declarations
        self._sink = declarations.sink

    # -- parameters

    def parameters(
        self, entry: ast.Parameter, scope: Scope, earlier: Mapping[str, Parameter]
    ) -> list[Parameter]:
        """The parameter of an entry, after the count of its elements if that is new."""
        check_c_name(entry.name, "a parameter", self._sink)
        check_not_register(entry.name, "a parameter", self._sink)
        name = entry.name.text
        kind, array = self.written_type(entry, scope)
        kind = kind or UNKNOWN_TYPE
        parameter = Parameter(name, kind, kind, entry.doc, entry.name.span, array)
        count = None if entry.array is None else entry.array.counter
        if count is None or not isinstance(array, Array):
            return [parameter]
        if count.text == name:
            message = f"{name} cannot be the number of its own elements"
            self._sink.report("E0312", message, count.span, help="for example `n`")
            return [parameter]
        known = earlier.get(count.text)
        if known is None:
            check_c_name(count, "a parameter", self._sink)
            check_not_register(count, "a parameter", self._sink)
            upto = count_type(array.length)
            doc = f"number of elements of {name}"
            return [Parameter(count.text, upto, upto, doc, count.span), parameter]
        if known.shape is not None or known.promise.signed:
            message = f"{count.text} is {known.promise.name}, which counts nothing"
            notes = [("it is here", known.span)]
            self._sink.report("E0312", message, count.span, notes=notes)
        elif max(known.promise.high, *known.promise.constants, 0) > array.length:
            message = f"{count.text} may be more than the {array.length} elements of {name}"
            notes = [(f"it is {known.promise.name}, whose largest value is larger", known.span)]
            help = f"give it a type such as u32 in 0..{array.length}"
            self._sink.report("E0312", message, count.span, notes=notes, help=help)
        return [parameter]

    def written_type(
        self, entry: ast.Parameter, scope: Scope
    ) -> tuple[Type | None, Array | Layout | None]:
        """The type and shape that an entry gives its parameter; no type after a report."""
        if not self._declarations.names_layout(entry.type, scope):
            kind = self._declarations.type(entry.type, scope)
            return kind, None if entry.array is None else self.array(entry.array)
        layout = self._declarations.layout(entry.type, scope)
        self.report_array_of_layouts(entry)
        return (None if layout is None else BUILTIN_TYPES["u64"]), layout

    def report_array_of_layouts(self, entry: ast.Parameter | ast.Output) -> None:
        """Reports brackets after a layout."""
        if entry.array is not None and entry.type is not None:
            message = f"{entry.type.text} is a layout, and there are no arrays of them"
            self._sink.report("E0312", message, entry.array.span)

    def array(self, item: ast.Array) -> Array:
        """The shape that an array's brackets give."""
        length = item.length.value
        if not 1 <= length <= _MOST_ELEMENTS:
            message = f"an array of {length} elements; each needs a register"
            help = f"1 to {_MOST_ELEMENTS} elements"
            self._sink.report("E0312", message, item.length.span, help=help)
            length = 1
        return Array(length, item.counter.text if item.counter else None)

    # -- operands

    def operands(
        self,
        item: ast.AssignFile,
        parameters: Mapping[str, Parameter],
        values: ValueChecker,
    ) -> list[Operand]:
        """One operand for each register that an element goes to; none after a report."""
        registers = expand_registers(item.file.registers, self._sink)
        parameter = self._shaped(item.value, parameters, values)
        if parameter is None or not registers:
            return []
        assert parameter.shape is not None
        elements = self.match(parameter.name, parameter.shape, parameter.type, registers, item.file)
        otherwise = self._otherwise(item, parameter, values)
        since = item.since.value if item.since else None
        operands = []
        for register, element in elements.items():
            promised = parameter.promise.possible
            if isinstance(parameter.shape, Array) and parameter.shape.count is not None:
                promised = promised.also(otherwise)
            operands.append(
                Operand(
                    Bits(register, 0, 63, registers.get(register, item.span)),
                    ParameterValue(element.name, promised),
                    since,
                    item.doc,
                    item.span,
                    otherwise,
                )
            )
        return operands

    def _shaped(
        self, value: ast.Expr, parameters: Mapping[str, Parameter], values: ValueChecker
    ) -> Parameter | None:
        """The array or layout that an expression names; reports anything else."""
        if isinstance(value, ast.NameExpr) and value.family is None:
            parameter = parameters.get(value.name.text)
            if parameter is not None and parameter.shape is not None:
                return parameter
            if parameter is not None and parameter.promise == UNKNOWN_TYPE:
                return None
            if parameter is None and values.check(value) is None:
                return None
        message = f"`{value.span.text}` is one value and this is a list of registers"
        help = "an array or a layout has a value for each"
        self._sink.report("E0313", message, value.span, help=help)
        return None

    def match(
        self,
        name: str,
        shape: Array | Layout,
        kind: Type,
        registers: Mapping[str, Span],
        file: ast.RegisterFile,
    ) -> dict[str, Element]:
        """The element that belongs to each register; reports registers without one."""
        elements = elements_of(name, shape, kind)
        if isinstance(shape, Layout):
            by_register = {element.register: element for element in elements}
            for register, span in registers.items():
                if register not in by_register:
                    message = f"layout {shape.name} has no {register}"
                    notes = [("the layout is here", shape.span)]
                    self._sink.report("E0313", message, span, notes=notes)
            return {r: by_register[r] for r in registers if r in by_register}
        written = count_registers(file.registers)
        if written is not None and written != shape.length:
            message = f"{name} has {_counted(shape.length, 'element')}"
            message += f" and this is {_counted(written, 'register')}"
            self._sink.report("E0312", message, file.span)
        return dict(zip(registers, elements, strict=False))

    def _otherwise(self, item: ast.AssignFile, parameter: Parameter, values: ValueChecker) -> int:
        if item.otherwise is None:
            return 0
        if not isinstance(parameter.shape, Array) or parameter.shape.count is None:
            message = f"{parameter.name} always has all its elements, so `else` says nothing"
            help = f"an array with a run-time bound may have fewer: `{parameter.name}: u64[n <= 4]`"
            self._sink.report("E0312", message, item.otherwise.span, help=help)
            return 0
        value = values.check(item.otherwise)
        folded = None if value is None else fold(value)
        if value is not None and not isinstance(folded, Constant):
            message = "`else` of an array is a constant"
            self._sink.report("E0410", message, item.otherwise.span)
        return folded.value if isinstance(folded, Constant) else 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def report_two_defaults(operands: Iterable[Operand], sink: Diagnostics) -> None:
    """Reports an array that is placed twice and whose missing elements differ."""
    first: dict[str, Operand] = {}
    for operand in operands:
        if not isinstance(operand.value, ParameterValue):
            continue
        other = first.setdefault(operand.value.name, operand)
        if other.otherwise != operand.otherwise:
            name = operand.value.name.split("[")[0]
            message = f"what stands for elements that {name} lacks is {operand.otherwise:#x} here"
            notes = [(f"and {other.otherwise:#x} here", other.span)]
            sink.report("E0312", message, operand.span, notes=notes, help="say the same `else`")


def count_type(length: int) -> Type:
    """The type of a count of at most `length` elements."""
    u64 = BUILTIN_TYPES["u64"]
    possible = Possible.within(0, length)
    return replace(
        u64,
        name=f"u64 in 0..{length}",
        possible=possible,
        high=length,
        bits=possible.bits,
        base=u64,
    )


def report_uncounted(
    parameters: tuple[Parameter, ...], checked: set[str], wrapper: Span | None, sink: Diagnostics
) -> None:
    """Reports run-time bounds that nothing proves and nothing checks, not even the wrapper."""
    types = {parameter.name: parameter.promise for parameter in parameters}
    for parameter in parameters:
        shape = parameter.shape
        if not isinstance(shape, Array) or shape.count is None or shape.count in checked:
            continue
        kind = types.get(shape.count)
        if kind is not None and kind.span is None and kind == count_type(shape.length):
            message = f"nothing says that {shape.count} is at most {shape.length}"
            help = f"add `check {shape.count} else STATUS;`, or give it a type of its own before"
            notes = [] if wrapper is None else [("this wrapper has no check of it", wrapper)]
            sink.report("E0312", message, parameter.span, notes=notes, help=help)


def exposed_registers(
    conduit: Conduit, operands: tuple[Operand, ...], outputs: tuple[Bits, ...]
) -> frozenset[str]:
    """The registers of the exposure mask: what goes in and what comes out, and no other."""
    used = {operand.place.register for operand in (*conduit.selectors, *operands)}
    used |= {place.register for place in outputs}
    if conduit.status is not None:
        used.add(conduit.status.register)
    return frozenset(used & REGISTERS.keys() - NEVER_EXPOSED)
