"""What a plan asks of its caller and gives back, as rows and sentences.

Takes a plan (and a target, where the answer depends on it) and returns data and words that the
header, the manifest, the comments of the assembly and `seamir explain` share, so that all of
them say the same. All words are harmless in comments (see text.py). Rows come in the order in
which the ABI documents registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seamir.emit.rows import (
    OperandRow,
    OutputRow,
    abi_order,
    constant_value,
    input_rows,
    is_in_out,
    operand_rows,
    output_rows,
    register_words,
    show_bits,
    source_of,
    span_of,
)
from seamir.emit.text import paragraphs, plain, sentence, split_summary
from seamir.ir.leaf import (
    Again,
    Argument,
    CarryRegister,
    Check,
    LoadKind,
    Plan,
    Refusal,
    Returns,
    ReturnValue,
    Trap,
    show_step,
)
from seamir.model.entities import Action
from seamir.model.expressions import (
    Binary,
    Constant,
    Expression,
    RefusalValue,
    TrapNumber,
    reads,
    show,
)
from seamir.model.instructions import FAULT_VECTORS
from seamir.model.registers import CARRY_FLAG, REGISTERS, slice_mask
from seamir.model.statuses import StatusFamily
from seamir.model.types import BUILTIN_TYPES, Type
from seamir.targets import Target

__all__ = [
    "OperandRow",
    "OutputRow",
    "action_words",
    "again_words",
    "argument_doc",
    "attempt_sentence",
    "check_sentence",
    "constant_value",
    "context_sentences",
    "contract_sentences",
    "destroyed_registers",
    "edges_of",
    "input_promise_words",
    "input_rows",
    "is_in_out",
    "leaf_words",
    "member_words",
    "no_carry_reason",
    "no_fault_reason",
    "note_words",
    "operand_cells",
    "operand_rows",
    "operand_table",
    "outcome_lines",
    "output_rows",
    "output_words",
    "place_words",
    "promise_words",
    "register_words",
    "show_bits",
    "show_number",
    "status_words",
    "uncaught_sentence",
    "vector_name",
]

_WAYS = {LoadKind.PRELOAD: "preset", LoadKind.ZERO: "zeroed"}
_MNEMONICS = {vector: name for name, vector in FAULT_VECTORS.items()}


# -- values

UNTOUCHED = "untouched if the call did not complete"


def output_words(row: OutputRow) -> str:
    """When an output counts and what it is else, where that differs from the usual; or ""."""
    words = []
    if row.condition:
        words.append(f"{row.condition}, else 0")
    if row.otherwise == "untouched":
        words.append(UNTOUCHED)
    if row.preload is not None:
        preset = (row.preload & slice_mask(row.low, row.high)) >> row.low
        words.append(f"{show_number(preset)} if left unwritten")
    return "; ".join(words)


def place_words(row: OutputRow) -> str:
    """Where an output is taken from, within a sentence."""
    return "the carry flag" if row.register == CARRY_FLAG else row.place


def member_words(row: OutputRow) -> str:
    """The same for a member of a structure, whose comment says also what is usual."""
    usual = "" if row.condition or row.otherwise != "0" else "0 if the call did not complete"
    return "; ".join(words for words in (output_words(row), usual) if words)


def promise_words(kind: Type) -> str:
    """What the type promises of a value: "bits 51:12", "0 to 4 or 0x8", or "" for nothing."""
    if not kind.is_narrowed:
        return ""
    root = BUILTIN_TYPES[kind.c_base]
    said: list[str] = []
    is_range = (kind.low, kind.high) not in ((root.low, root.high), (0, kind.bits))
    says_bits = not kind.fields and kind.bits not in (root.bits, 0)
    if says_bits and (kind.bits & 1 == 0 or not is_range):
        low, high = span_of(kind.bits)
        bits = f"bit {low}" if low == high else f"bits {high}:{low}"
        said.append(bits if kind.bits == slice_mask(low, high) else f"bits of {kind.bits:#x}")
    if is_range:
        said.append(f"{show_number(kind.low)} to {show_number(kind.high)}")
    if not said and kind.constants:
        said.append("its fields" if kind.fields else "any value")
    constants = " or ".join(show_number(value) for value in kind.constants)
    return ", ".join(said) + (f" or {constants}" if constants else "")


def input_promise_words(plan: Plan, name: str, kind: Type) -> str:
    """The same for an input: a number of elements is "at most 3", not "bits 1:0"."""
    counts = any(argument.count == name for argument in plan.arguments)
    if counts and (kind.low, kind.constants) == (0, ()) and kind.is_narrowed:
        return f"at most {show_number(kind.high)}"
    return promise_words(kind)


def show_number(value: int) -> str:
    """A number as one would write it: decimal below 4096 in size, else hexadecimal."""
    return str(value) if abs(value) < 4096 else f"{value:#x}"


def argument_doc(plan: Plan, argument: Argument) -> str:
    """What is said of an argument: by itself, by its operand, or in short by its type."""
    if argument.doc.strip():
        return " ".join(paragraphs(argument.doc))
    for row in input_rows(plan, argument.name):
        if row.is_whole and row.is_plain and row.doc.strip():
            return " ".join(paragraphs(row.doc))
    promises = [item.promise for item in plan.inputs if item.argument == argument.name]
    for kind in (*promises, argument.type):
        if kind.doc.strip():
            return split_summary(kind.doc)[0]
    return ""


# -- outcomes


def leaf_words(plan: Plan) -> str:
    """Which leaf it is and how it is called: "TDH.VP.INIT, leaf 22 version 1, by seamcall"."""
    words = plain(plan.leaf)
    if plan.number is not None:
        words += f", leaf {show_number(plan.number)}"
    if plan.version_parameter is not None:
        words += f" version @{plan.version_parameter}"
    elif plan.version:
        words += f" version {plan.version}"
    return f"{words}, by {plain(plan.conduit.name)}"


def action_words(action: Action) -> str:
    """What is done on an edge, after "the function"."""
    if isinstance(action, Trap):
        return "executes ud2"
    if isinstance(action, ReturnValue):
        return f"returns {plain(show(action.value))}"
    if action.value is None:
        return f"calls {plain(action.symbol)}(), which does not return"
    return f"calls {plain(action.symbol)}() and returns {plain(show(action.value))}"


def vector_name(vector: int) -> str:
    """An exception vector as manuals name it: "#GP", or "vector 15"."""
    return _MNEMONICS.get(vector, f"vector {vector}")


def no_carry_reason(plan: Plan) -> str | None:
    """Why there is no carry edge; None if there is one."""
    if plan.edges.carry is not None:
        return None
    name = plan.instruction.name
    if not plan.instruction.sets_carry:
        return f"{name} does not report in the carry flag"
    return "the description gives the carry flag no meaning"


def no_fault_reason(plan: Plan, target: Target) -> str | None:
    """Why faults have no edge; None if they may have one."""
    if not plan.instruction.may_fault:
        return f"{plan.instruction.name} is not expected to fault"
    if "fixup" not in target.features:
        return f"target {target.name} is used without a fixup table"
    if not plan.edges.has_fault:
        return "the description gives faults no meaning"
    return None


def uncaught_sentence(plan: Plan, target: Target) -> str:
    """That an exception at the instruction is not caught, or some are not; "" if all are."""
    if not plan.instruction.may_fault:
        return ""
    if no_fault_reason(plan, target) is not None:
        return "An exception at the instruction is not caught."
    return "" if plan.edges.fault is not None else "Any other exception is not caught."


def edges_of(plan: Plan, target: Target) -> tuple[tuple[str, Action], ...]:
    """The edges that the target has: when they are taken, in words, and the action."""
    edges: list[tuple[str, Action]] = []
    if plan.edges.carry is not None:
        edges.append(("if the carry flag is set", plan.edges.carry))
    refusal = plan.edges.refused
    refused = [] if refusal is None else [(_refused_words(refusal), _refused_action(refusal))]
    if no_fault_reason(plan, target) is not None:
        return (*edges, *refused)
    edges += [(f"on {vector_name(vector)}", action) for vector, action in plan.edges.vectors]
    if plan.edges.fault is not None:
        value = None if isinstance(plan.edges.fault, Trap) else plan.edges.fault.value
        is_named = value is not None and reads(value, TrapNumber)
        other = "any other" if plan.edges.vectors else "" if is_named else "an"
        words = ["on", other, "exception", "trapnr" if is_named else ""]
        edges.append((" ".join(word for word in words if word), plan.edges.fault))
    return (*edges, *refused)


def _refused_words(refusal: Refusal) -> str:
    """When a call counts as refused; a value with a name is called by it."""
    named = [code.name for f in refusal.families for code in f.codes.values()
             if refusal.value in code.values]  # fmt: skip
    value = named[0] if named else show_number(refusal.value)
    return f"if {refusal.place} is not {plain(value)} (the other side was not reached)"


def _refused_action(refusal: Refusal) -> Action:
    """The action, with the place that it takes `refusal` from by its name."""
    action = refusal.action
    if isinstance(action, Trap) or action.value is None:
        return action
    return replace(action, value=_named(action.value, str(refusal.place)))


def _named(value: Expression, place: str) -> Expression:
    if isinstance(value, Binary):
        return Binary(value.operator, _named(value.left, place), _named(value.right, place))
    return Constant(0, place) if isinstance(value, RefusalValue) else value


def again_words(clause: Again) -> str:
    """A retry or resumption: "retry 9 on X", "resume 64 on Y with r10[63] = 1, carry rcx, r8"."""
    steps: list[str] = []
    carries = False
    for step in clause.steps:
        words = show_step(step)
        if carries and isinstance(step, CarryRegister):
            words = step.register
        carries = isinstance(step, CarryRegister)
        steps.append(plain(words))
    return plain(clause.text).rstrip(" {;") + (f" with {', '.join(steps)}" if steps else "")


def attempt_sentence(plan: Plan) -> str:
    """How often the call is made, or "" for once."""
    if not plan.again:
        return ""
    clauses = "; ".join(again_words(clause) for clause in plan.again)
    return f"At most {plan.bound} attempts: {clauses}."


def check_sentence(plan: Plan, checks: Sequence[Check]) -> str:
    """What is tested before any call, and what follows; "" for no checks."""
    tests = "; ".join(_check_words(plan, check) for check in checks)
    return f"Checked before any call: {tests}." if tests else ""


def _check_words(plan: Plan, check: Check) -> str:
    promise = input_promise_words(plan, check.input, check.promise)
    what = plain(check.input) + (f" ({promise})" if promise else "")
    status = check.status
    action = "executes ud2" if status is None else f"returns {status_words(plan, status)}"
    return f"{what}, else {action}"


def status_words(plan: Plan, status: int) -> str:
    """A status as C writes it with the header's macros, or its number if it has no name."""
    for family in plan.conduit.families:
        for code in family.codes.values():
            if status in code.values:
                return plain(code.name)
            detail = status & family.detail
            if detail and status & ~family.detail in code.values:
                return plain(f"{code.name} | {_detail_words(family, detail)}")
    return f"{status:#x}"


def _detail_words(family: StatusFamily, detail: int) -> str:
    ids = family.operands
    if ids is not None and family.detail_low == 0:
        for code in ids.codes.values():
            if detail in code.values:
                return f"{ids.name.upper()}_{code.name}"
    return f"{detail:#x}"


def outcome_lines(plan: Plan, target: Target) -> tuple[str, ...]:
    """What can come of a call, one sentence each: checks, edges, further attempts, completion."""
    lines = [check_sentence(plan, [check]) for check in plan.checks]
    lines += [
        f"{_capital(when.rstrip(','))}: {action_words(action)}."
        for when, action in edges_of(plan, target)
    ]
    reason = no_fault_reason(plan, target)
    if reason is not None and plan.instruction.may_fault:
        lines.append(f"A fault is not caught: {reason}.")
    lines.append(attempt_sentence(plan) or "One attempt.")
    if plan.returns is Returns.NOTHING:
        lines.append("Never returns: if the call comes back, executes ud2.")
    elif plan.returns is Returns.VALUE:
        lines.append(f"Once the call completed: returns {place_words(output_rows(plan)[0])}.")
    elif plan.status is not None:
        lines.append(f"Once the call completed: returns the status in {plan.status}.")
    else:
        lines.append("Once the call completed: returns.")
    return tuple(line for line in lines if line)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# -- the caller's duties


def contract_sentences(plan: Plan, target: Target) -> tuple[str, ...]:
    """What the caller has to know and do besides passing arguments, one sentence each."""
    said = plan.documentation
    lines: list[str] = []
    if said.deprecated is not None:
        lines.append(f"Deprecated: {plain(said.deprecated)}" if said.deprecated else "Deprecated.")
    lines += [note_words(note) for note in said.notes]
    lines += _conduit_sentences(plan)
    if said.alias_of is not None:
        lines.append(f"The same leaf as {plain(said.alias_of)}, with other operands.")
    if said.effect is not None:
        lines.append(f"{_capital(plain(said.effect))} effect.")
    if said.since is not None:
        lines.append(f"Since {plain(said.since)}.")
    if said.requires:
        lines.append(f"Requires {', '.join(plain(feature) for feature in said.requires)}.")
    lines += _section_sentences(plan, target)
    lines += [
        sentence(plain(f"In place of `{one.said}`, {one.instead}: {one.reason}"))
        for one in plan.fallbacks
    ]
    return _distinct(lines)


def context_sentences(plan: Plan, target: Target) -> tuple[str, ...]:
    """Those of `contract_sentences` that say where the call may be made: what the conduit says."""
    return _distinct([*_conduit_sentences(plan), *_section_sentences(plan, target)])


def _conduit_sentences(plan: Plan) -> list[str]:
    lines = [note_words(note) for note in plan.conduit.notes]
    if plan.destroys_simd:
        lines.append("The other side may change vector registers.")
    if plan.exposed is not None:
        names = register_words(sorted(plan.exposed, key=abi_order))
        lines.append(f"The other side sees {names} and no other register.")
    if plan.scrub and plan.returns is not Returns.NOTHING:
        lines.append("At return no register but those returned has a value of the other side.")
    return lines


def _section_sentences(plan: Plan, target: Target) -> list[str]:
    is_special = plan.section == target.noinstr_section and plan.section != ".text"
    return [f"The code is in {plan.section}."] if is_special else []


def _distinct(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sentence(line) for line in lines if line))


def note_words(note: str) -> str:
    """A note as a sentence: it begins with a capital, unless its first word is code."""
    text = plain(note)
    first = text.split(" ", maxsplit=1)[0]
    is_word = first.isalpha() and first.islower() and first not in REGISTERS
    return sentence(_capital(text) if is_word else text)


# -- tables


def operand_cells(plan: Plan) -> list[tuple[str, str, str, str]]:
    """A row for each operand, then for each output: in or out, where, what, a note."""
    rows = []
    for row in operand_rows(plan):
        source = source_of(plan, row)
        value = f"{row.filled_by} ({source})" if source else row.filled_by
        rows.append((_WAYS.get(row.kind, "in"), row.place, value, ""))
    for output in output_rows(plan):
        rows.append(("out", output.place, plain(output.destination), output_words(output)))
    if plan.returns is not Returns.NOTHING and plan.status is not None:
        rows.append(("out", str(plan.status), "status", ""))
    return rows


def operand_table(plan: Plan) -> tuple[str, ...]:
    """The same as lines of plain text, in columns."""
    rows = operand_cells(plan)
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    return tuple(
        "  ".join((*(row[i].ljust(widths[i]) for i in range(3)), row[3])).rstrip() for row in rows
    )


def destroyed_registers(plan: Plan) -> tuple[str, ...]:
    """The registers that the instruction destroys, in ABI order."""
    return tuple(sorted(plan.destroyed, key=abi_order))
