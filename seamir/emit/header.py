"""The C header of a compilation: prototypes, types, statuses, and what each call asks for.

Takes plans and returns text: self-contained C11 and C++17, for kernel and user space, the same
bytes for the same plans. Raises SeamError with E0611 (one structure, two layouts) and E0612 (one
C name, two meanings). Each function has a kernel-doc comment that names the register of every
parameter and output.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamir.conventions import Convention
from seamir.diagnostics import Diagnostics
from seamir.emit.c_names import Kind, Names, c_type, declare, include_guard, pointer_to, prototype
from seamir.emit.contract import (
    OperandRow,
    OutputRow,
    action_words,
    argument_doc,
    attempt_sentence,
    check_sentence,
    constant_value,
    context_sentences,
    contract_sentences,
    edges_of,
    input_promise_words,
    input_rows,
    leaf_words,
    operand_rows,
    output_rows,
    output_words,
    place_words,
    register_words,
    uncaught_sentence,
)
from seamir.emit.header_layouts import layouts
from seamir.emit.header_statuses import families_of, status_blocks
from seamir.emit.header_types import (
    accessors,
    assumptions,
    described_types,
    structures,
    typedefs,
    visible_types,
)
from seamir.emit.rows import abi_order
from seamir.emit.text import (
    COLUMNS,
    block_comment,
    origin,
    paragraphs,
    plain,
    split_summary,
    wrap,
    wrap_paragraph,
)
from seamir.ir.leaf import Argument, ArgumentKind, LoadKind, Plan, Returns, ReturnValue, SetBits
from seamir.model.expressions import parameters_of, show
from seamir.model.registers import slice_mask
from seamir.model.types import Type
from seamir.targets import Target

_NAME_COLUMNS = 24  # parameters with longer names are not lined up
_PLACE_COLUMNS = 16  # nor are longer places
_OWN_MACROS = ("SEAMIR_ASSERT", "SEAMIR_KERNEL_INTEGERS")
_OWN_PARAMETERS = ("status", "value", "word", "field")

_PREAMBLE = """\
#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#ifndef SEAMIR_KERNEL_INTEGERS
#define SEAMIR_KERNEL_INTEGERS
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
#endif
#endif

#ifdef __cplusplus
#define SEAMIR_ASSERT(truth, text) static_assert(truth, text)
extern "C" {
#else
#define SEAMIR_ASSERT(truth, text) _Static_assert(truth, text)
#endif"""

_CONVENTION = """\
{convention} calling convention. Bits and ranges of an argument are the caller's promise: they are \
neither masked nor tested. Unless its comment says otherwise, a function makes one attempt, \
returns the status as it is, stores every output whenever the call completed, whatever the \
status, and stores 0 when it did not. No other memory is written."""


def emit_header(plans: Sequence[Plan], target: Target, stem: str, source_name: str) -> str:
    """The header that declares the plans' functions.

    `stem` is the output file's name without suffix, for the include guard; `source_name` is the
    description's name as generated files show it. Raises SeamError (E0611, E0612).
    """
    sink = Diagnostics()
    names = Names(sink)
    guard = include_guard(stem)
    for macro in (guard, *_OWN_MACROS):
        names.take(macro, Kind.MACRO, "a macro of the header's own", None)
    for parameter in _OWN_PARAMETERS:
        names.take(parameter, Kind.LOCAL, "a parameter of the header's own functions", None)
    kinds = visible_types(plans)
    blocks = [
        block_comment(
            [
                *origin(source_name),
                wrap(_CONVENTION.format(convention=target.convention.name)),
            ]
        ),
        [f"#ifndef {guard}", f"#define {guard}"],
        _PREAMBLE.split("\n"),
        _specifier(target.convention),
        [*described_types(plans), *typedefs(kinds, names)],
        assumptions(plans, kinds),
        *accessors(plans, kinds, names),
        *layouts(plans, names, sink),
        *structures(plans, names, sink),
        *_conduits(plans),
        *(_function(plan, target, names) for plan in plans),
        *status_blocks(families_of(plans), names),
        ["#undef SEAMIR_ASSERT"],
        ["#ifdef __cplusplus", "}", "#endif"],
        [f"#endif /* {guard} */"],
    ]
    sink.stop_on_errors()
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _specifier(convention: Convention) -> list[str]:
    """The macro that declares functions, which a header that comes first may have defined."""
    if convention.specifier is None:
        return []
    macro, definition = convention.specifier.macro, convention.specifier.definition
    return [f"#ifndef {macro}", f"#define {macro} {definition}", "#endif"]


# -- conduits


def _conduits(plans: Sequence[Plan]) -> list[list[str]]:
    """A comment for each conduit: what it is, its instruction and its statuses."""
    found: dict[str, Plan] = {}
    for plan in plans:
        found.setdefault(plan.conduit.name, plan)
    return [_conduit(plan) for plan in found.values()]


def _conduit(plan: Plan) -> list[str]:
    conduit = plan.conduit
    code = conduit.instruction.code.hex(" ")
    families = ", ".join(family.name for family in conduit.families)
    status = f"status in {conduit.status}" + (f" ({families})" if families else "")
    status = "no status" if conduit.status is None else status
    blocks = [[f"DOC: Conduit {conduit.name}"]]
    blocks += [wrap_paragraph(line) for line in paragraphs(conduit.doc)]
    fact = f"Instruction {conduit.instruction.name}, {code}; {status}."
    return block_comment([*blocks, wrap(fact)], "/**")


# -- functions


def _function(plan: Plan, target: Target, names: Names) -> list[str]:
    names.take(plan.symbol, Kind.FUNCTION, f"the function {plan.symbol}", plan.span)
    for argument in plan.arguments:
        what = f"parameter {argument.name} of {plan.symbol}"
        names.take(argument.name, Kind.LOCAL, what, argument.span, "parameter")
    return [*_kernel_doc(plan, target), *declaration(plan, target)]


def declaration(plan: Plan, target: Target) -> list[str]:
    """The lines of the function's prototype."""
    parameters = [declare_argument(plan, argument) for argument in plan.arguments]
    specifier = target.convention.specifier
    name = plan.symbol if specifier is None else f"{specifier.macro} {plan.symbol}"
    head, tail = f"u64 {name}", ";"
    if plan.returns is Returns.STATUS_AND_VALUE:
        head = f"struct {plan.result_tag} {name}"
    elif plan.returns is Returns.VALUE:
        head = declare(c_type(plan.returned.type), name)
    elif plan.returns is Returns.NO_STATUS:
        head = f"void {name}"
    elif plan.returns is Returns.NOTHING:
        head, tail = f"void {name}", " __attribute__((noreturn));"
    return prototype(head, parameters, tail, COLUMNS)


def declare_argument(plan: Plan, argument: Argument) -> str:
    """The declaration of a parameter: `hpa_t tdr`, `const u64 uuid[4]`, `struct regs *regs`."""
    if argument.kind is ArgumentKind.STRUCT and plan.struct is not None:
        return declare(f"struct {plan.struct.name} *", argument.name)
    spelling = c_type(argument.type)
    if argument.layout is not None:
        spelling = f"struct {argument.layout.name}"
    if argument.kind is ArgumentKind.VALUE:
        return declare(spelling, argument.name)
    if argument.kind is ArgumentKind.IN:
        spelling = f"{spelling}const" if spelling.endswith("*") else f"const {spelling}"
    if argument.length is not None and argument.count is None:
        return f"{declare(spelling, argument.name)}[{argument.length}]"
    return declare(pointer_to(spelling), argument.name)


def _kernel_doc(plan: Plan, target: Target) -> list[str]:
    summary, rest = split_summary(plan.documentation.doc)
    head = wrap(f"{plan.symbol}() - {summary or f'calls {plain(plan.leaf)}'}")
    context = context_sentences(plan, target)
    facts = [line for line in contract_sentences(plan, target) if line not in context]
    where = " ".join(line for line in (*context, uncaught_sentence(plan, target)) if line)
    blocks = [
        head + _parameter_lines(plan),
        wrap(_call_sentence(plan)),
        *(wrap_paragraph(line) for line in rest),
        wrap(" ".join(facts)),
        wrap(check_sentence(plan, plan.checks)),
        wrap(attempt_sentence(plan)),
        wrap(where, "Context: ", "") if where else [],
        wrap(returned, "Return: ", "") if (returned := _return_words(plan, target)) else [],
    ]
    return block_comment(blocks, "/**")


def _call_sentence(plan: Plan) -> str:
    """Which leaf it is, and the registers that are the same for every call."""
    fixed = []
    for row in operand_rows(plan):
        if row.parameters or row.kind is LoadKind.PRELOAD:
            continue
        load = plan.load(row.register)
        whole = constant_value(load) if load is not None else None
        place, value = (
            (row.place, row.filled_by) if whole is None else (row.register, _number(whole))
        )
        since = f" (since {plain(row.since)})" if row.since else ""
        fixed.append(f"{place} = {value}{since}")
    registers = f" with {', '.join(dict.fromkeys(fixed))}" if fixed else ""
    return f"{leaf_words(plan)}{registers}."


def _number(value: int) -> str:
    return str(value) if value < 10 else f"{value:#x}"


# -- parameters


def _parameter_lines(plan: Plan) -> list[str]:
    rows = [_parameter_row(plan, argument) for argument in plan.arguments]
    names = [f"@{argument.name}: " for argument in plan.arguments]
    places = [row[0] for row in rows if row[1]]
    name_width = max((len(n) for n in names if len(n) <= _NAME_COLUMNS), default=0)
    place_width = max((len(p) for p in places if len(p) <= _PLACE_COLUMNS), default=0)
    lines: list[str] = []
    for name, (place, text) in zip(names, rows, strict=True):
        first = name.ljust(name_width)
        said = text or place
        if place and text and len(place) > _PLACE_COLUMNS:
            said = f"{place} - {text}"
        elif place and text:
            first += f"{place.ljust(place_width)} - "
        lines += wrap(said, first, " " * min(len(first), _NAME_COLUMNS + _PLACE_COLUMNS))
    return lines


def _parameter_row(plan: Plan, argument: Argument) -> tuple[str, str]:
    """Where a parameter goes or comes from, and what is said of it."""
    is_structure = argument.kind is ArgumentKind.STRUCT
    if is_structure or (argument.layout and argument.name not in _groups(plan, argument)):
        return "", _structure_words(plan, argument)
    inward, since = _input_places(plan, argument)
    outward = [row for row in output_rows(plan) if row.group == argument.name]
    back = [row.place for row in outward]
    places = register_words(sorted(back, key=abi_order) if argument.layout else back)
    words = [argument_doc(plan, argument), *_promises(plan, argument), since]
    if argument.count is not None:
        words.append(f"{plain(argument.count)} elements, at most {argument.length}")
    if argument.kind in (ArgumentKind.VALUE, ArgumentKind.IN):
        return f"in  {inward}", _join(words)
    row = outward[0]
    words += [output_words(row) if not row.in_out else "", "may be NULL" if row.optional else ""]
    if argument.kind is ArgumentKind.OUT:
        return f"out {places}", _join(words)
    both = f"in/out {inward}" if inward == places else f"in {inward}, out {places}"
    return both, _join(words)


def _groups(plan: Plan, argument: Argument) -> set[str]:
    """The parameters and outputs of the description that an argument stands for."""
    read = {item.name.split(".")[0] for item in plan.inputs if item.argument == argument.name}
    return read | {d.group for d in plan.deliveries if d.argument == argument.name}


def _promises(plan: Plan, argument: Argument) -> list[str]:
    """What is promised of the values that an argument brings, each once."""
    promises = {item.promise for item in plan.inputs if item.argument == argument.name}
    ordered = sorted(promises, key=lambda kind: kind.name)
    shown = [kind for kind in ordered if not _is_shown(plan, argument, kind)]
    return [input_promise_words(plan, argument.name, kind) for kind in shown]


def _is_shown(plan: Plan, argument: Argument, promise: Type) -> bool:
    """Whether the register's bits already say what the type promises."""
    shown = [slice_mask(row.low, row.high) for row in input_rows(plan, argument.name)]
    return shown == [promise.bits] and (promise.low, promise.high) == (0, promise.bits)


def _join(words: list[str]) -> str:
    said = [word for word in words if word]
    return "; ".join([*(word.removesuffix(".") for word in said[:-1]), *said[-1:]])


def _input_places(plan: Plan, argument: Argument) -> tuple[str, str]:
    """The registers that an argument reaches, and since when it does so."""
    rows = input_rows(plan, argument.name)
    places = [_place(row) for row in rows]
    if argument.layout is not None:
        places = [register_words(sorted(places, key=abi_order))]
    elif argument.length is not None:
        places = [register_words(places)] if places else []
    steps = [step for clause in plan.again for step in clause.steps if not places]
    for step in steps:
        if isinstance(step, SetBits) and argument.name in parameters_of(step.value):
            places.append(f"{step.place} on resume")
    since = dict.fromkeys(plain(row.since) for row in rows if row.since)
    return ", ".join(dict.fromkeys(places)), f"since {', '.join(since)}" if since else ""


def _place(row: OperandRow) -> str:
    return row.place if row.is_plain else f"{row.place} = {row.filled_by}"


def _structure_words(plan: Plan, argument: Argument) -> str:
    """The members of the structure that takes the outputs, each with its register."""
    inputs = {item.name for item in plan.inputs if item.argument == argument.name}
    groups: dict[str, list[OutputRow]] = {}
    for delivery, row in zip(plan.deliveries, output_rows(plan), strict=True):
        if delivery.argument == argument.name:
            groups.setdefault(row.group, []).append(row)
    members = []
    for group, rows in groups.items():
        comes_back = any(row.name in inputs for row in rows)
        way = "in/out" if comes_back else "out"
        words = "" if comes_back else output_words(rows[0])
        gap = " " if words.startswith("on ") else ", " if words else ""
        places = register_words([row.place for row in rows])
        members.append(f"{group} {way} {places}{gap}{words}")
    optional = " (may be NULL)" if argument.optional else ""
    return f"outputs{optional}: {'; '.join(members)}"


# -- what it returns


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _return_words(plan: Plan, target: Target) -> str:
    values, others = [], []
    for when, action in edges_of(plan, target):
        if isinstance(action, ReturnValue):
            values.append(f"{plain(show(action.value))} {when}")
        else:
            others.append(f"{_capital(when)}, {action_words(action)}.")
    if plan.returns is Returns.NOTHING:
        return "Never; executes ud2 if the call comes back."
    if plan.returns is Returns.VALUE:
        row = output_rows(plan)[0]
        return " ".join([f"{plain(row.name)}, from {place_words(row)}.", *others])
    if plan.status is None:
        return " ".join(["Nothing.", *others]) if others else ""
    what = f"The status in {plan.status}"
    if plan.returns is Returns.STATUS_AND_VALUE:
        row = output_rows(plan)[0]
        what += f", and {plain(row.name)} from {place_words(row)} as value"
    what = "; ".join([what, ", ".join(values)]) if values else what
    return " ".join([f"{what}.", *others])
