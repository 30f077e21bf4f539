"""What a wrapper does, predicted from the manifest alone.

A second reading of the semantics, written against the JSON and sharing no code with the
interpreter: where both agree, the manifest says all there is to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seamir.emulate.interpreter import Run
from seamir.emulate.script import Carry, Completed, Fault, OtherSide, Write

Json = dict[str, Any]
WORD = 1 << 64


def predict(
    manifest: Json,
    symbol: str,
    arguments: Mapping[str, int],
    regions: Mapping[int, bytes],
    side: OtherSide,
) -> Run:
    """The run of a wrapper, told by the manifest of its compilation."""
    wrapper = next(row for row in manifest["wrappers"] if row["symbol"] == symbol)
    signed = {row["name"]: row["signed"] for row in manifest["types"]}
    rows = {row["name"]: row for row in wrapper["inputs"]}
    for check in wrapper["checks"]:
        value = _input(rows[check["input"]], arguments, regions, {})
        if not _keeps(check["promise"], value):
            if check["status"] is None:
                return Run((), trapped=True)
            return _finish(wrapper, signed, arguments, [], int(check["status"], 16), None)
    inputs: dict[str, int] = {}
    for name, row in rows.items():
        inputs[name] = _input(row, arguments, regions, inputs)
    operands = {row["register"]: _fill(row["fills"], inputs) for row in wrapper["loads"]}
    attempts: list[Mapping[str, int]] = []
    used = [0] * len(wrapper["again"])
    while True:
        attempts.append(dict(operands))
        outcome = side(len(attempts) - 1, dict(operands))
        if isinstance(outcome, Carry):
            action = wrapper["edges"]["carry"]["action"]
            return _act(wrapper, signed, arguments, attempts, action, 0)
        if isinstance(outcome, Fault):
            return _fault(wrapper, signed, arguments, attempts, outcome.vector)
        refused = wrapper["edges"]["refused"]
        if refused is not None and (found := _take(outcome, refused)) != int(refused["value"], 16):
            return _act(wrapper, signed, arguments, attempts, refused["action"], found)
        if wrapper["status"] is None:
            return _finish(wrapper, signed, arguments, attempts, None, outcome)
        status = _take(outcome, wrapper["status"])
        granted = _grant(wrapper["again"], used, status)
        if granted is None:
            return _finish(wrapper, signed, arguments, attempts, status, outcome)
        for step in granted["steps"]:
            mask = (1 << step["high"] + 1) - (1 << step["low"])
            value = outcome.registers[step["register"]] if step["value"] is None else (
                _evaluate(step["value"]["tree"], inputs, 0) << step["low"]
            )  # fmt: skip
            kept = operands[step["register"]] & ~mask
            operands[step["register"]] = (kept | value) % WORD


def _input(
    row: Json,
    arguments: Mapping[str, int],
    regions: Mapping[int, bytes],
    inputs: Mapping[str, int],
) -> int:
    bound = row["bound"]
    if bound is not None and inputs[bound["count"]] <= bound["index"]:
        return int(bound["otherwise"], 16)
    raw: int = arguments[row["argument"]]
    if row["offset"] is not None:
        place = raw + row["offset"]
        start = next(a for a, content in regions.items() if a <= place < a + len(content))
        content = regions[start][place - start :]
        raw = int.from_bytes(content[: row["width"] // 8], "little")
    raw %= 1 << row["width"]
    if row["extension"] == "sign" and raw >> row["width"] - 1:
        raw += WORD - (1 << row["width"])
    return raw


def _keeps(promise: Json, value: int) -> bool:
    low, high = int(promise["low"], 16), int(promise["high"], 16)
    if value in [int(constant, 16) for constant in promise["constants"]]:
        return True
    number = value - WORD if low < 0 and value >= WORD // 2 else value
    return low <= number <= high and value | int(promise["bits"], 16) == int(promise["bits"], 16)


def _fill(fills: list[Json], inputs: Mapping[str, int]) -> int:
    value = 0
    for fill in fills:
        low: int = fill["low"]
        value |= _evaluate(fill["value"]["tree"], inputs, 0) << low
    return value % WORD


def _evaluate(tree: Any, inputs: Mapping[str, int], vector: int) -> int:
    if isinstance(tree, str):
        if tree in ("$trapnr", "$refusal"):
            return vector
        return inputs[tree] if tree in inputs else int(tree, 16)
    operator, left, right = tree
    a, b = _evaluate(left, inputs, vector), _evaluate(right, inputs, vector)
    results = {"|": a | b, "+": a + b, "-": a - b, "<<": a << min(b, 64), ">>": a >> min(b, 64)}
    return results[operator] % WORD


def _take(outcome: Completed, place: Json) -> int:
    low: int = place["low"]
    width: int = place["high"] - low + 1
    if place["register"] == "carry":
        return int(outcome.carry)
    return (outcome.registers[place["register"]] >> low) % (1 << width)


def _accepts(matches: list[Json], status: int) -> bool:
    return any(status & int(m["mask"], 16) == int(m["value"], 16) for m in matches)


def _grant(clauses: list[Json], used: list[int], status: int) -> Json | None:
    for index, clause in enumerate(clauses):
        if _accepts(clause["matches"], status) and used[index] < clause["attempts"]:
            used[:index] = [0] * index
            used[index] += 1
            return clause
    return None


def _fault(
    wrapper: Json,
    signed: Mapping[str, bool],
    arguments: Mapping[str, int],
    attempts: list[Mapping[str, int]],
    vector: int,
) -> Run:
    edges = wrapper["edges"]
    named = {row["vector"]: row["action"] for row in edges["vectors"]}
    action = named.get(vector, edges["fault"]["action"])
    if action is None and not named:
        return Run(tuple(attempts), escaped_fault=vector)
    action = action or {"kind": "trap", "symbol": None, "value": None}
    return _act(wrapper, signed, arguments, attempts, action, vector)


def _act(
    wrapper: Json,
    signed: Mapping[str, bool],
    arguments: Mapping[str, int],
    attempts: list[Mapping[str, int]],
    action: Json,
    vector: int,
) -> Run:
    if action["kind"] == "trap":
        return Run(tuple(attempts), trapped=True)
    value = action["value"]
    status = None if value is None else _evaluate(value["tree"], {}, vector)
    called = (action["symbol"],) if action["kind"] == "call" else ()
    return _finish(wrapper, signed, arguments, attempts, status, None, called)


def _finish(
    wrapper: Json,
    signed: Mapping[str, bool],
    arguments: Mapping[str, int],
    attempts: list[Mapping[str, int]],
    status: int | None,
    outcome: Completed | None,
    called: tuple[str, ...] = (),
) -> Run:
    """The end: outcome is None if the call did not complete, status if it traps."""
    has_status = wrapper["status"] is not None
    if wrapper["returns"] == "nothing" or (has_status and status is None and not called):
        return Run(tuple(attempts), trapped=True, called=called)
    writes: list[Write] = []
    returned: int | None = None
    for output in wrapper["outputs"]:
        if outcome is None and (output["keep"] or output["in_out"]):
            continue
        value = 0
        if outcome is not None and _holds(output["condition"], status):
            value = _take(outcome, output)
            width = output["high"] - output["low"] + 1
            if signed[output["type"]] and value >> width - 1:
                value += WORD - (1 << width)
        value %= 1 << output["width"]
        delivery = output["delivery"]
        if delivery["kind"] == "register":
            returned = value
            continue
        pointer = arguments[delivery["argument"]]
        if pointer or not output["optional"]:
            data = value.to_bytes(output["width"] // 8, "little")
            writes.append(Write(pointer + delivery["offset"], data))
    if status is None and (has_status or called):
        return Run(tuple(attempts), trapped=True, called=called, writes=tuple(writes))
    return Run(tuple(attempts), status, returned, False, called, tuple(writes))


def _holds(condition: Json | None, status: int | None) -> bool:
    if condition is None:
        return True
    assert status is not None
    first = _accepts(condition["any_of"], status) is not condition["inverted"]
    either = first or _accepts(condition["or_any_of"], status)
    return either and not _accepts(condition["none_of"], status)
