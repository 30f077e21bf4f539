"""What `seamir verify` prints: a table of proofs, each failure, or data for `json.dumps`.

Numbers of 64 bits in the data are hexadecimal text, as in the manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from seamir.emit.contract import vector_name
from seamir.emit.rows import abi_order
from seamir.emit.text import plain
from seamir.emulate.script import Carry, Fault, Outcome
from seamir.ir.leaf import Plan
from seamir.model.registers import CARRY_FLAG
from seamir.proving.examples import NoReplayError, show_example
from seamir.proving.verification import Verification, failure_diagnostic
from seamir.run.decode import bits_of
from seamir.run.report import report_json as record_json
from seamir.run.report import report_text as record_text
from seamir.run.script import shown_status
from seamir.verify.result import Counterexample, Failure, Proof, Verdict

Json: TypeAlias = dict[str, Any]

HEAD = ("WRAPPER", "VERDICT", "PATHS", "OBLIGATIONS", "QUERIES", "MS", "FROM")
RIGHT = frozenset({2, 3, 4, 5})  # the columns of numbers
_BYTES_IN_A_LINE = 16
_NO_DIFFERENCE = "In an emulator that makes no difference: what is wrong does not show there."


def table(verification: Verification) -> list[tuple[str, ...]]:
    """A row for each wrapper, after the head."""
    return [HEAD, *map(_row, verification.proofs)]


def _row(proof: Proof) -> tuple[str, ...]:
    numbers = (proof.paths, proof.obligations, proof.queries, round(proof.seconds * 1000))
    came_from = "cache" if proof.is_cached else ""
    return (proof.symbol, proof.verdict.value, *map(str, numbers), came_from)


def assumption_lines(verification: Verification) -> list[str]:
    """What holds only if callers see to it, each with its wrapper."""
    return [
        f"{proof.symbol} assumes that {text}"
        for proof in verification.proofs
        for text in proof.assumptions
    ]


def summary(verification: Verification) -> str:
    """How many were proved, on one line, and how many not."""
    proofs = verification.proofs
    proved = [proof for proof in proofs if proof.is_proved]
    paths, obligations = (sum(getattr(p, n) for p in proved) for n in ("paths", "obligations"))
    cached = sum(proof.is_cached for proof in proved)
    words = [f"{_count(len(proved), 'wrapper')} proved"]
    for verdict in (Verdict.REFUTED, Verdict.UNDECIDED):
        number = sum(proof.verdict is verdict for proof in proofs)
        words += [f"{number} {verdict.value}"] if number else []
    numbers = f": {_count(paths, 'path')}, {_count(obligations, 'obligation')}" if proved else ""
    words[0] += f" ({cached} from the cache)" if cached else ""
    return f"{', '.join(words)}{numbers}, in {verification.seconds:.1f} s"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


# -- failures


def failure_lines(plan: Plan, failure: Failure) -> list[str]:
    """Where a failure is in the code, and a call that shows it."""
    lines = []
    if failure.offset is not None:
        place = f"at {plan.symbol}+{failure.offset:#x}"
        if failure.instruction is not None:
            place += f": {failure.instruction}"
        if failure.line is not None:
            place += f"  ({plain(failure.line[0])}:{failure.line[1]})"
        lines.append(place)
    if failure.counterexample is not None:
        lines += _example_lines(plan, failure.counterexample)
    return [f"  {line}" for line in lines]


def _example_lines(plan: Plan, example: Counterexample) -> Iterator[str]:
    arguments = [f"{name}={value:#x}" for name, value in example.arguments.items()]
    yield f"for example {plan.symbol}({', '.join(arguments)})"
    for name, value in example.registers.items():
        yield f"  {name} holds {value:#x}"
    for address, data in example.regions.items():
        for start in range(0, len(data), _BYTES_IN_A_LINE):
            shown = data[start : start + _BYTES_IN_A_LINE].hex(" ")
            yield f"  memory {address + start:#x}  {shown}"
    outcomes = example.outcomes
    if plan.bound == 1:  # what else there is would be for an attempt that nothing grants
        outcomes = outcomes[:1]
    for number, outcome in enumerate(outcomes, 1):
        is_last = number == len(outcomes) > 1
        attempt = f"attempt {number}, if there is one" if is_last else f"attempt {number}"
        yield f"  {attempt}: {_outcome_words(plan, outcome)}"


def _outcome_words(plan: Plan, outcome: Outcome) -> str:
    if isinstance(outcome, Carry):
        return "carry"
    if isinstance(outcome, Fault):
        return f"fault {vector_name(outcome.vector)}"
    words = ["completed"]
    if plan.status is not None:
        status = bits_of(outcome, plan.status)
        words.append(f"{shown_status(plan, status)} {status:#x}".strip())
    names = plan.needed - ({plan.status.register} if plan.status is not None else set())
    words += [
        f"{n} {outcome.registers[n]:#x}"
        for n in sorted(names & outcome.registers.keys(), key=abi_order)
    ]
    if CARRY_FLAG in names:
        words.append(f"carry {int(outcome.carry)}")
    return f"{words[0]}: {', '.join(words[1:])}" if words[1:] else words[0]


def replay_text(verification: Verification, plan: Plan, example: Counterexample) -> str:
    """The call of a counterexample as it happens, as `seamir run` shows calls."""
    try:
        record = show_example(verification, plan, example)
    except NoReplayError as error:
        return f"the call cannot be executed here: {error}\n"
    text = record_text(record)
    return text if record.differences else f"{text}\n{_NO_DIFFERENCE}\n"


# -- data


def report_json(verification: Verification, *, replay: bool) -> Json:
    """All of it as data; with `replay` each counterexample is executed."""
    return {
        "target": verification.target.name,
        "features": sorted(verification.target.features),
        "proved": verification.is_proved,
        "seconds": round(verification.seconds, 3),
        "wrappers": [
            _proof_data(verification, plan, proof, replay)
            for plan, proof in zip(verification.plans, verification.proofs, strict=True)
        ],
    }


def _proof_data(verification: Verification, plan: Plan, proof: Proof, replay: bool) -> Json:
    failures = [_failure_data(proof, failure) for failure in proof.failures]
    for data, failure in zip(failures, proof.failures, strict=True):
        example = failure.counterexample if replay else None
        data["replay"] = None if example is None else _replay_data(verification, plan, example)
    return {
        "symbol": proof.symbol,
        "leaf": proof.leaf,
        "verdict": proof.verdict.value,
        "paths": proof.paths,
        "obligations": proof.obligations,
        "queries": proof.queries,
        "instructions": proof.instructions,
        "seconds": round(proof.seconds, 6),
        "cached": proof.is_cached,
        "executed_at": list(proof.sites),
        "unreachable": [{"offset": at, "reason": reason} for at, reason in proof.unreachable],
        "assumptions": list(proof.assumptions),
        "failures": failures,
    }


def _replay_data(verification: Verification, plan: Plan, example: Counterexample) -> Json | None:
    """The call as `seamir run` tells of it; None if the emulator cannot make it."""
    try:
        return record_json(show_example(verification, plan, example))
    except NoReplayError:
        return None


def _failure_data(proof: Proof, failure: Failure) -> Json:
    file, line = failure.line or (None, None)
    diagnostic = failure_diagnostic(proof, failure).to_json()
    return {
        "code": diagnostic["code"],
        "message": diagnostic["message"],
        "place": diagnostic["place"],
        "found": _number(failure.found),
        "wanted": _number(failure.wanted),
        "offset": failure.offset,
        "instruction": failure.instruction,
        "file": file,
        "line": line,
        "counterexample": _example_data(failure.counterexample),
    }


def _example_data(example: Counterexample | None) -> Json | None:
    if example is None:
        return None
    return {
        "arguments": {name: f"{value:#x}" for name, value in example.arguments.items()},
        "registers": _registers(example.registers),
        "memory": [{"address": f"{at:#x}", "bytes": d.hex()} for at, d in example.regions.items()],
        "outcomes": [_outcome_data(outcome) for outcome in example.outcomes],
    }


def _outcome_data(outcome: Outcome) -> Json:
    if isinstance(outcome, Carry):
        return {"outcome": "carry"}
    if isinstance(outcome, Fault):
        return {"outcome": "fault", "vector": outcome.vector}
    writes = [{"address": f"{w.address:#x}", "bytes": w.data.hex()} for w in outcome.memory]
    registers = _registers(outcome.registers)
    return {
        "outcome": "completed",
        "registers": registers,
        "carry": outcome.carry,
        "memory": writes,
    }


def _registers(values: Mapping[str, int]) -> dict[str, str]:
    return {name: f"{values[name]:#x}" for name in sorted(values, key=abi_order)}


def _number(value: int | None) -> str | None:
    return None if value is None else f"{value:#x}"
