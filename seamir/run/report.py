"""What `seamir run` prints of a Record: text for people, or data for `json.dumps`.

Numbers in the data are hexadecimal text, as in the manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, TypeAlias

from seamir.emit.contract import vector_name
from seamir.emit.text import plain
from seamir.model.statuses import Match
from seamir.run.decode import Attempt, RegisterValue
from seamir.run.record import DeliveredOutput, Record

Json: TypeAlias = dict[str, Any]


def report_text(record: Record) -> str:
    """The call, each attempt, and what the caller gets; equal attempts in a row are one."""
    plan = record.plan
    arguments = ", ".join(f"{plain(name)}={words}" for name, _, words in record.arguments)
    count = len(record.attempts)
    attempts = "1 attempt" if count == 1 else f"{count or 'no'} attempts"
    lines = [f"{plan.symbol}({arguments}), {attempts}", ""]
    number = 1
    for attempt, group in groupby(record.attempts):
        last = number + len(list(group)) - 1
        lines.append(f"attempt {number}" if last == number else f"attempts {number} to {last}")
        lines += _attempt_lines(record, attempt)
        number = last + 1
    if record.edge:
        lines.append(f"{'  ' if count else ''}{record.edge}")
    lines += ["", record.end] if count else [record.end]
    lines += _rows((o.destination, _hex(o.value), o.words) for o in record.outputs)
    if record.differences:
        lines += ["", "THE CODE DOES NOT DO WHAT ITS PLAN MEANS:", *record.differences]
    return "\n".join(lines) + "\n"


def _attempt_lines(record: Record, attempt: Attempt) -> list[str]:
    lines = _register_lines(attempt.loaded)
    lines.append(f"  => {_outcome(record, attempt)}")
    lines += _register_lines(attempt.returned)
    if attempt.again is not None:
        lines.append(f"  again: {attempt.again}")
    if attempt.exhausted is not None:
        lines.append(f"  no attempt is left: {attempt.exhausted}")
    return lines


def _outcome(record: Record, attempt: Attempt) -> str:
    if attempt.outcome == "carry":
        return "carry"
    if attempt.vector is not None:
        return f"fault {vector_name(attempt.vector)}"
    if attempt.status is None:
        return "completed"
    words = " ".join(filter(None, (attempt.status_name, f"{attempt.status:#x}")))
    if attempt.outcome == "refused":
        return f"refused: {words}"
    success = record.plan.success
    return f"completed: {words}" + (f", {_class(success, attempt.status)}" if success else "")


def _class(success: Sequence[Match], status: int) -> str:
    return "success" if any(match.accepts(status) for match in success) else "an error"


def _register_lines(registers: Sequence[RegisterValue]) -> list[str]:
    return _rows((row.register, f"{row.value:#x}", row.words) for row in registers)


def _rows(rows: Iterable[tuple[str, str, str]]) -> list[str]:
    """Indented lines in columns."""
    table = list(rows)
    widths = [max((len(row[i]) for row in table), default=0) for i in range(2)]
    return [
        f"    {row[0].ljust(widths[0])}  {row[1].ljust(widths[1])}  {row[2]}".rstrip()
        for row in table
    ]


def _hex(value: int | None) -> str:
    return "-" if value is None else f"{value:#x}"


# -- data


def report_json(record: Record) -> Json:
    """The same as data."""
    plan, execution = record.plan, record.execution
    return {
        "symbol": plan.symbol,
        "leaf": plan.leaf,
        "target": record.target.name,
        "arguments": {name: _number(value) for name, value, _ in record.arguments},
        "attempts": [_attempt_data(record, attempt) for attempt in record.attempts],
        "decided_by": record.edge or None,
        "end": record.end,
        "status": _number(execution.status),
        "trapped": execution.trapped,
        "called": list(execution.called),
        "escaped_fault": execution.escaped_fault,
        "outputs": [_output_data(output) for output in record.outputs],
        "differences": list(record.differences),
    }


def _number(value: int | None) -> str | None:
    return None if value is None else f"{value:#x}"


def _attempt_data(record: Record, attempt: Attempt) -> Json:
    success = record.plan.success
    is_success = None
    if success is not None and attempt.status is not None and attempt.outcome == "completed":
        is_success = any(match.accepts(attempt.status) for match in success)
    return {
        "loaded": [_register_data(row) for row in attempt.loaded],
        "outcome": attempt.outcome,
        "status": _number(attempt.status),
        "status_name": attempt.status_name or None,
        "success": is_success,
        "vector": attempt.vector,
        "returned": [_register_data(row) for row in attempt.returned],
        "again": attempt.again,
        "exhausted": attempt.exhausted,
    }


def _register_data(row: RegisterValue) -> Json:
    return {"register": row.register, "value": f"{row.value:#x}", "meaning": row.words}


def _output_data(output: DeliveredOutput) -> Json:
    return {
        "name": output.name,
        "destination": output.destination,
        "value": _number(output.value),
        "meaning": output.words,
        "fields": {name: f"{value:#x}" for name, value in output.fields},
    }
