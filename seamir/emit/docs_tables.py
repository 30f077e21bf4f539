"""The tables of a function in the reference: what fills each register, and what comes back.

Takes a plan, returns rows of cells that are Markdown, under the heads OPERANDS and OUTPUTS. The
elements of an array or layout that are treated alike share a row, and so do registers that are
only exposed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from seamir.emit.contract import argument_doc, promise_words, show_number
from seamir.emit.rows import (
    OperandRow,
    OutputRow,
    operand_rows,
    output_rows,
    register_words,
    show_bits,
    source_of,
)
from seamir.emit.text import code_span, markdown, paragraphs, split_summary
from seamir.ir.leaf import Argument, ArgumentKind, Delivery, Input, LoadKind, Plan, SetBits
from seamir.model.expressions import ParameterValue, parameters_of, show
from seamir.model.registers import slice_mask
from seamir.model.types import Type

OPERANDS = ("Register", "Value", "Type", "Since", "Meaning")
OUTPUTS = ("Register", "Output", "Type", "When", "Else", "Stored in", "Meaning")

Row = TypeVar("Row")
Words = Callable[[str], str]  # text of a description as Markdown
_SOURCES = {"exposed": "exposure mask"}


def operand_cells(plan: Plan, words: Words) -> list[tuple[str, ...]]:
    """The operands in ABI order, then what only a resumption puts into a register."""
    rows = operand_rows(plan)
    groups = _grouped((_operand_group(plan, row), row) for row in rows)
    cells = [
        _operand(plan, group[0], words) if len(group) == 1 else _operands(plan, group, words)
        for group in groups
    ]
    return [*cells, *_resumed(plan, rows, words)]


def output_cells(plan: Plan, words: Words) -> list[tuple[str, ...]]:
    """The outputs in the order in which they are stored."""
    outputs = zip(output_rows(plan), plan.deliveries, strict=True)
    groups = _grouped((_output_group(row), (row, delivery)) for row, delivery in outputs)
    return [_output(plan, group, words) for group in groups]


def _grouped(rows: Iterable[tuple[Hashable, Row]]) -> list[list[Row]]:
    """Rows of one key together, in the place of the first of them; None goes with no other."""
    groups: dict[Hashable, list[Row]] = {}
    for index, (key, row) in enumerate(rows):
        groups.setdefault(("alone", index) if key is None else key, []).append(row)
    return list(groups.values())


# -- operands


def _operand_group(plan: Plan, row: OperandRow) -> Hashable:
    """What rows of a table have in common that are shown as one; None for a row of its own."""
    if row.kind in (LoadKind.ZERO, LoadKind.PRELOAD):
        return row.kind, show(row.value)
    item = _element(plan, row)
    if item is None or row.doc.strip() or (row.low, row.high) != (0, 63):
        return None
    return item.argument, item.promise, row.since


def _element(plan: Plan, row: OperandRow) -> Input | None:
    """The input that is all of an operand's value, if it is one of several of an argument."""
    if not isinstance(row.value, ParameterValue):
        return None
    item = next(item for item in plan.inputs if item.name == row.value.name)
    argument = plan.argument(item.argument)
    several = argument is not None and (argument.length or argument.layout)
    return item if several else None


def _operand(plan: Plan, row: OperandRow, words: Words) -> tuple[str, ...]:
    doc = " ".join(paragraphs(row.doc)) or _input_docs(plan, row.parameters)
    return (
        code_span(row.place),
        _value(plan, row),
        _types(plan, row.parameters),
        words(row.since or ""),
        words(doc),
    )


def _operands(plan: Plan, rows: Sequence[OperandRow], words: Words) -> tuple[str, ...]:
    """One row for the elements of an argument, or for registers that get one constant."""
    items = {row.register: _element(plan, row) for row in rows}
    ordered = sorted(rows, key=lambda row: _offset(items[row.register]))
    first = items[ordered[0].register]
    argument = None if first is None else plan.argument(first.argument)
    if first is None or argument is None:
        registers = code_span(register_words([row.register for row in rows]))
        return registers, _value(plan, rows[0]), "", "", ""
    if argument.layout is not None:
        ordered = list(rows)
    return (
        code_span(register_words([row.register for row in ordered])),
        _element_words(argument, first, len(rows)),
        _shape_words(argument, first.promise),
        words(rows[0].since or ""),
        words(argument_doc(plan, argument)),
    )


def _offset(item: Input | None) -> int:
    return 0 if item is None or item.offset is None else item.offset


def _element_words(argument: Argument, first: Input, count: int) -> str:
    """What fills the registers of an array or a layout."""
    if argument.layout is not None:
        return f"{code_span(argument.name)}, each from its member"
    step = first.type.width // 8
    index = _offset(first) // step
    value = f"{code_span(f'{argument.name}[{index}]')} to {code_span(f'[{index + count - 1}]')}"
    if first.bound is None:
        return value
    otherwise = code_span(show_number(first.bound.otherwise))
    return f"{value}; {otherwise} from {code_span(f'[{first.bound.count}]')} on"


def _shape_words(argument: Argument, promise: Type) -> str:
    if argument.layout is not None:
        return code_span(argument.layout.name)
    count = f"{argument.count} <= " if argument.count else ""
    name = code_span(f"{promise.name}[{count}{argument.length}]")
    promised = promise_words(promise)
    return f"{name}, {markdown(promised)}" if promised else name


def _value(plan: Plan, row: OperandRow) -> str:
    source = source_of(plan, row)
    value = code_span(row.filled_by)
    if row.kind is LoadKind.PRELOAD:
        return f"{value}, before each attempt"
    if row.kind is LoadKind.ZERO:
        return f"{value}, for the other side sees it"
    return f"{value}, the {markdown(_SOURCES.get(source, source))}" if source else value


def _types(plan: Plan, names: Sequence[str]) -> str:
    """The types of inputs and what they promise; which input it is where there are several."""
    inputs = [item for item in plan.inputs if item.name in names]
    if len(inputs) == 1:
        return _type_words(inputs[0].promise)
    return "; ".join(f"{code_span(item.name)} {_type_words(item.promise)}" for item in inputs)


def _type_words(kind: Type) -> str:
    promise = promise_words(kind)
    return code_span(kind.name) + (f", {markdown(promise)}" if promise else "")


def _input_docs(plan: Plan, names: Sequence[str]) -> str:
    """What is said of inputs, each with its name where there are several."""
    docs = {item.name: _input_doc(plan, item) for item in plan.inputs if item.name in names}
    if len(docs) == 1:
        return "".join(docs.values())
    return "; ".join(f"{name}: {doc}" for name, doc in docs.items() if doc)


def _input_doc(plan: Plan, item: Input) -> str:
    """What is said of an input: with a structure of outputs, what is said of its output."""
    for delivery in plan.deliveries:
        is_same = delivery.argument == item.argument and delivery.offset == item.offset
        if is_same and delivery.doc.strip():
            return " ".join(paragraphs(delivery.doc))
    argument = plan.argument(item.argument)
    if argument is not None and argument.kind is not ArgumentKind.STRUCT:
        return argument_doc(plan, argument)
    return split_summary(item.promise.doc)[0]


def _resumed(plan: Plan, rows: Sequence[OperandRow], words: Words) -> list[tuple[str, ...]]:
    """Rows of parameters that only a resumption puts into a register."""
    loaded = {name for row in rows for name in row.parameters}
    cells: list[tuple[str, ...]] = []
    for step in (step for clause in plan.again for step in clause.steps):
        names = parameters_of(step.value) - loaded if isinstance(step, SetBits) else None
        if not names or not isinstance(step, SetBits):
            continue
        place = show_bits(step.place.register, step.place.low, step.place.high)
        value = f"{code_span(show(step.value))}, on resumption"
        doc = words(_input_docs(plan, sorted(names)))
        cells.append((code_span(place), value, _types(plan, sorted(names)), "", doc))
    return cells


# -- outputs


def _output_group(row: OutputRow) -> Hashable:
    """What elements of an output have in common that are shown as one; None for others."""
    if row.name == row.group:
        return None
    return row.group, row.condition, row.otherwise, row.preload, row.optional, row.doc


def _output(
    plan: Plan, group: Sequence[tuple[OutputRow, Delivery]], words: Words
) -> tuple[str, ...]:
    row, delivery = group[0]
    kind = code_span(delivery.type.name)
    is_returned = row.destination[0].isalpha() and delivery.argument is None
    where = row.destination if is_returned else code_span(row.destination)
    name, place = row.name, row.place
    argument = plan.argument(delivery.argument)
    if len(group) > 1:
        name, place = row.group, register_words([each.place for each, _ in group])
        if argument is not None and argument.layout is not None:
            kind, where = code_span(argument.layout.name), f"members of {code_span(argument.name)}"
        else:
            last = group[-1][0].destination
            kind = code_span(f"{delivery.type.name}[{len(group)}]")
            where = f"{where} to {code_span(last[last.rindex('[') :])}"
    doc = " ".join(paragraphs(row.doc))
    if not doc and not row.in_out:  # else the operand says it
        doc = split_summary(delivery.type.doc)[0]
    return (
        code_span(place),
        code_span(name),
        kind,
        code_span(row.condition),
        _otherwise(row),
        f"{where}, which may be NULL" if row.optional else where,
        words(doc),
    )


def _otherwise(row: OutputRow) -> str:
    said = ["0"] if row.condition else []
    if row.otherwise == "untouched":
        said.append("untouched if the call did not complete")
    preset = ((row.preload or 0) & slice_mask(row.low, row.high)) >> row.low
    if row.preload is not None and (preset or not said):
        said += [f"{show_number(preset)} if the other side leaves it unwritten"]
    return "; ".join(said)
