"""The rows of a plan's operand table: what fills each register, and where each output goes.

Takes a plan and returns rows in the order in which the ABI documents registers; outputs come in
the order in which they are stored. Text in rows is harmless in comments, but for `doc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seamir.emit.text import plain
from seamir.ir.leaf import ArgumentKind, Delivery, Fill, Load, LoadKind, Plan, Returns
from seamir.model.expressions import (
    Binary,
    Constant,
    Expression,
    ParameterValue,
    evaluate,
    fold,
    parameters_of,
    possible,
    show,
)
from seamir.model.registers import ABI_ORDER, ALL_BITS, CARRY_FLAG, exposure_mask


@dataclass(frozen=True, slots=True)
class OperandRow:
    """Bits `low` to `high` of a register as the first attempt finds them.

    `parameters` are the inputs that `value` reads; `is_whole` says that `value` is all that the
    description writes there, with its bit 0 at `low`; otherwise it is one of the values joined by
    `|`, already in position.
    """

    register: str
    low: int
    high: int
    kind: LoadKind
    value: Expression
    parameters: tuple[str, ...]
    is_whole: bool
    since: str | None
    doc: str

    @property
    def place(self) -> str:
        """The bits as the language writes them: rcx, rcx[51:12], r10[63]."""
        return show_bits(self.register, self.low, self.high)

    @property
    def filled_by(self) -> str:
        """What fills the bits, as the language writes it."""
        return plain(show(self.value))

    @property
    def is_plain(self) -> bool:
        """Whether a parameter fills the bits as it is, without arithmetic worth showing."""
        value = self.value
        if isinstance(value, Binary) and value.operator == "<<" and not self.is_whole:
            moved = value.left
            return isinstance(moved, ParameterValue) and bool(moved.promised.bits & 1)
        return isinstance(value, ParameterValue)


@dataclass(frozen=True, slots=True)
class OutputRow:
    """Bits of a register that the caller gets, and how.

    `condition` is in words, "" if the value counts whenever the call completed. `otherwise` is
    what the caller gets when the call did not complete: "0" or "untouched". `destination` is C:
    `*data`, `pages[1]`, `out->data`, `.value` of a returned pair, or "return value". `preload` is
    the value of the register before each attempt, if the description gives one.
    """

    name: str
    group: str
    register: str
    low: int
    high: int
    condition: str
    otherwise: str
    destination: str
    preload: int | None
    in_out: bool
    optional: bool
    doc: str

    @property
    def place(self) -> str:
        """The bits as the language writes them."""
        return show_bits(self.register, self.low, self.high)


def show_bits(register: str, low: int, high: int) -> str:
    """Bits of a register as the language writes them."""
    if (low, high) == (0, 63) or register == CARRY_FLAG:
        return register
    return f"{register}[{low}]" if low == high else f"{register}[{high}:{low}]"


# -- operands


def operand_rows(plan: Plan) -> tuple[OperandRow, ...]:
    """Every run of register bits that the plan loads, in ABI order; bits in no row are 0."""
    loads = sorted(plan.loads, key=lambda load: abi_order(load.register))
    return tuple(row for load in loads for row in _rows_of_load(load))


def abi_order(register: str) -> tuple[int, str]:
    """A key that sorts registers in ABI order."""
    return ABI_ORDER.get(register, len(ABI_ORDER)), register


def _rows_of_load(load: Load) -> list[OperandRow]:
    fills = load.fills or (Fill(0, 63, load.value, None, "", load.span),)
    return [
        row for fill in sorted(fills, key=lambda f: -f.low) for row in _rows_of_fill(load, fill)
    ]


def _rows_of_fill(load: Load, fill: Fill) -> list[OperandRow]:
    """One row, or one for each value joined by `|` if their bits lie beside each other."""
    whole = OperandRow(
        register=load.register,
        low=fill.low,
        high=fill.high,
        kind=load.kind,
        value=fill.value,
        parameters=tuple(sorted(parameters_of(fill.value))),
        is_whole=True,
        since=fill.since,
        doc=fill.doc,
    )
    parts = [part for part in _terms(fill.value) if possible(part).bits]
    spans = [span_of(possible(part).bits << fill.low & ALL_BITS) for part in parts]
    apart = all(
        a[1] < b[0] or b[1] < a[0] for index, a in enumerate(spans) for b in spans[index + 1 :]
    )
    if len(parts) < 2 or not apart:
        return [whole]
    return [
        replace(
            whole,
            low=low,
            high=min(high, fill.high),
            value=part,
            parameters=tuple(sorted(parameters_of(part))),
            is_whole=False,
        )
        for part, (low, high) in zip(parts, spans, strict=True)
    ]


def _terms(value: Expression) -> list[Expression]:
    if isinstance(value, Binary) and value.operator == "|":
        return [*_terms(value.left), *_terms(value.right)]
    return [value]


def span_of(bits: int) -> tuple[int, int]:
    """Lowest and highest bit of a mask that is not 0."""
    return (bits & -bits).bit_length() - 1, bits.bit_length() - 1


def register_words(registers: Sequence[str]) -> str:
    """Registers as a list, runs of numbered ones as ranges: "rdx, r8..r11"."""
    runs: list[list[str]] = []
    for name in registers:
        last = runs[-1][-1] if runs else ""
        numbered = name[1:].isdigit() and last[1:].isdigit()
        if numbered and int(name[1:]) == int(last[1:]) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    words = []
    for run in runs:
        words += [f"{run[0]}..{run[-1]}"] if len(run) > 2 else run
    return ", ".join(words)


def input_rows(plan: Plan, argument: str) -> tuple[OperandRow, ...]:
    """The rows that an argument fills."""
    names = {item.name for item in plan.inputs if item.argument == argument}
    return tuple(row for row in operand_rows(plan) if names & set(row.parameters))


def source_of(plan: Plan, row: OperandRow) -> str:
    """What the conduit makes a selector's value of: "leaf", "version << 16", or "" for neither."""
    folded = fold(row.value)
    if row.kind is not LoadKind.SELECTOR or not isinstance(folded, Constant):
        return ""
    named = {
        "leaf": plan.number or 0,
        "version": plan.version,
        "exposed": exposure_mask(plan.exposed or ()),
    }
    for selector in plan.conduit.selectors:
        place = selector.place
        if place.register != row.register or not place.low <= row.low <= row.high <= place.high:
            continue
        for term in (selector.value, *_terms(selector.value)):
            if parameters_of(term) and evaluate(term, named) == folded.value:
                return plain(show(term))
    return ""


def constant_value(load: Load) -> int | None:
    """The register's value if it is the same for every call, else None."""
    value = fold(load.value)
    return value.value if isinstance(value, Constant) else None


# -- outputs


def output_rows(plan: Plan) -> tuple[OutputRow, ...]:
    """The outputs in the order in which they are stored."""
    return tuple(_output_row(plan, delivery) for delivery in plan.deliveries)


def _output_row(plan: Plan, delivery: Delivery) -> OutputRow:
    place = delivery.place
    in_out = is_in_out(plan, delivery)
    preload = plan.load(place.register)
    has_preload = preload is not None and preload.kind is LoadKind.PRELOAD
    return OutputRow(
        name=delivery.name,
        group=delivery.group,
        register=place.register,
        low=place.low,
        high=place.high,
        condition="" if delivery.test is None else plain(f"on {delivery.test.text}"),
        otherwise="untouched" if delivery.keep or in_out else "0",
        destination=_destination(plan, delivery),
        preload=constant_value(preload) if has_preload and preload else None,
        in_out=in_out,
        optional=delivery.optional,
        doc=delivery.doc,
    )


def is_member(plan: Plan, delivery: Delivery) -> bool:
    """Whether the output goes into the structure that takes the outputs."""
    argument = plan.argument(delivery.argument)
    return argument is not None and argument.kind is ArgumentKind.STRUCT


def is_in_out(plan: Plan, delivery: Delivery) -> bool:
    """Whether the output replaces an input at the same place in memory."""
    return any(
        item.argument == delivery.argument and item.offset == delivery.offset
        for item in plan.inputs
    )


def _destination(plan: Plan, delivery: Delivery) -> str:
    if delivery.argument is None:
        return ".value" if plan.returns is Returns.STATUS_AND_VALUE else "return value"
    argument = plan.argument(delivery.argument)
    if argument is not None and argument.layout is not None:
        member = next(m for m in argument.layout.members if m.offset == delivery.offset)
        return f"{argument.name}->{member.name}"
    if argument is not None and argument.kind is ArgumentKind.STRUCT:
        return f"{argument.name}->{delivery.name}"
    return delivery.name if delivery.name != delivery.group else f"*{delivery.argument}"
