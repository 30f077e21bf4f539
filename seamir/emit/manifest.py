"""The manifest: everything a plan says, as JSON for programs.

Takes plans and, after code generation, what each function costs; returns text that
manifest.schema.json describes. 64-bit numbers are strings such as "0x1d", since readers of JSON
lose bits above 2^53. The order is that of the plans; registers are in ABI order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from seamir.emit.c_names import c_type
from seamir.emit.contract import (
    destroyed_registers,
    no_carry_reason,
    no_fault_reason,
    vector_name,
)
from seamir.emit.manifest_tables import (
    Json,
    Tables,
    hex_text,
    match_json,
    promise_json,
    value_json,
)
from seamir.emit.rows import abi_order, constant_value, is_in_out, is_member, show_bits
from seamir.ir.inlining import inlining_obstacle
from seamir.ir.leaf import (
    Again,
    Argument,
    Bound,
    CallSymbol,
    CarryRegister,
    Delivery,
    Fill,
    Input,
    Load,
    LoadKind,
    Plan,
    Refusal,
    Returns,
    ReturnValue,
    SetBits,
    Struct,
    Trap,
)
from seamir.model.entities import Action
from seamir.model.statuses import StatusTest
from seamir.targets import Target

SCHEMA = "seamir-manifest"
SCHEMA_VERSION = 3
_COLUMNS = 100  # what fits is written on one line
_encode = json.JSONEncoder().encode


class Cost(Protocol):
    """What an emitted function costs."""

    @property
    def bytes(self) -> int:
        """Bytes of code."""

    @property
    def instructions(self) -> int:
        """Instructions."""

    @property
    def stack_bytes(self) -> int:
        """Bytes of stack below the return address."""


def emit_manifest(
    plans: Sequence[Plan],
    target: Target,
    source_name: str,
    costs: Mapping[str, Cost] | None,
    versions: Mapping[str, str],
) -> str:
    """The manifest of the plans' functions, as JSON text.

    `costs` is by symbol, None before code generation; `versions` are of the programs that took
    part, such as {"seamir": "0.1.0"}; `source_name` is the description's name as generated files
    show it.
    """
    tables = Tables(plans)
    manifest = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "source": source_name,
        "versions": dict(sorted(versions.items())),
        "target": _target(target),
        "types": [tables.type(kind) for kind in tables.types],
        "layouts": [tables.layout(layout) for layout in tables.layouts],
        "statuses": [tables.family(family) for family in tables.families],
        "wrappers": [
            _wrapper(plan, target, tables, None if costs is None else costs.get(plan.symbol))
            for plan in plans
        ],
    }
    return "\n".join(_lines(manifest)) + "\n"


def _target(target: Target) -> Json:
    has_fixups = "fixup" in target.features
    return {
        "name": target.name,
        "format": target.object_format,
        "convention": target.convention.name,
        "code_model": target.code_model,
        "features": sorted(target.features),
        "fixup_section": target.fixup_section if has_fixups else None,
        "fixup_type": target.fixup_type if has_fixups else None,
    }


# -- wrappers


def _wrapper(plan: Plan, target: Target, tables: Tables, cost: Cost | None) -> Json:
    said = plan.documentation
    return {
        "symbol": plan.symbol,
        "leaf": plan.leaf,
        "number": None if plan.number is None else hex_text(plan.number),
        "version": plan.version,
        "version_parameter": plan.version_parameter,
        "alias_of": said.alias_of,
        "conduit": plan.conduit.name,
        "instruction": {"name": plan.instruction.name, "bytes": plan.instruction.code.hex()},
        "selectors": _selectors(plan),
        "arguments": [_argument(plan, argument, tables) for argument in plan.arguments],
        "inputs": [_input(item, tables) for item in plan.inputs],
        "checks": [
            {
                "input": check.input,
                "promise": promise_json(check.promise),
                "status": None if check.status is None else hex_text(check.status),
                "text": check.text,
            }
            for check in plan.checks
        ],
        "loads": [_load(load) for load in sorted(plan.loads, key=_order)],
        "destroys": {
            "registers": list(destroyed_registers(plan)),
            "memory": plan.destroys_memory,
            "simd": plan.destroys_simd,
        },
        "exposed": None if plan.exposed is None else sorted(plan.exposed, key=abi_order),
        "scrub": plan.scrub,
        "status": _status(plan, tables),
        "edges": _edges(plan, target, tables),
        "again": [_again(clause) for clause in plan.again],
        "guard": None if plan.guard is None else match_json(plan.guard),
        "attempt_bound": plan.bound,
        "outputs": [_output(plan, delivery, tables) for delivery in plan.deliveries],
        "struct": None if plan.struct is None else _struct(plan.struct, tables),
        "returns": plan.returns.value,
        "section": plan.section,
        "fallbacks": [
            {"said": one.said, "instead": one.instead, "reason": one.reason}
            for one in plan.fallbacks
        ],
        "not_inlined": inlining_obstacle(plan),
        "effect": said.effect,
        "since": said.since,
        "requires": list(said.requires),
        "notes": list(said.notes),
        "deprecated": said.deprecated,
        "doc": said.doc,
        "cost": None if cost is None else _cost(cost),
    }


def _status(plan: Plan, tables: Tables) -> Json | None:
    if plan.status is None:
        return None
    return {
        **_place(plan.status.register, plan.status.low, plan.status.high),
        "families": [tables.family_name(family) for family in plan.conduit.families],
        "success": None if plan.success is None else [match_json(m) for m in plan.success],
    }


def _cost(cost: Cost) -> Json:
    return {
        "bytes": cost.bytes,
        "instructions": cost.instructions,
        "stack_bytes": cost.stack_bytes,
    }


def _order(load: Load) -> tuple[int, str]:
    return abi_order(load.register)


def _place(register: str, low: int, high: int) -> Json:
    return {"register": register, "low": low, "high": high}


def _selectors(plan: Plan) -> list[Json]:
    selectors = [load for load in plan.loads if load.kind is LoadKind.SELECTOR]
    rows = []
    for load in sorted(selectors, key=_order):
        value = constant_value(load)
        rows.append(
            {"register": load.register, "value": None if value is None else hex_text(value)}
        )
    return rows


def _argument(plan: Plan, argument: Argument, tables: Tables) -> Json:
    inputs = [item for item in plan.inputs if item.argument == argument.name]
    is_struct = argument.kind.value == "struct"
    spelling = c_type(argument.type)
    if is_struct and plan.struct is not None:
        spelling = f"struct {plan.struct.name}"
    elif argument.layout is not None:
        spelling = f"struct {argument.layout.name}"
    return {
        "name": argument.name,
        "kind": argument.kind.value,
        "type": None if is_struct or argument.layout else tables.types[argument.type],
        "c_type": spelling,
        "width": 64 if is_struct else argument.type.width,
        "extension": "none" if is_struct else argument.type.extension,
        "promise": promise_json(inputs[0].promise) if inputs and not is_struct else None,
        "length": argument.length,
        "count": argument.count,
        "layout": None if argument.layout is None else tables.layout_name(argument.layout),
        "optional": argument.optional,
        "doc": argument.doc,
    }


def _input(item: Input, tables: Tables) -> Json:
    return {
        "name": item.name,
        "argument": item.argument,
        "offset": item.offset,
        "type": tables.types[item.type],
        "width": item.type.width,
        "extension": item.type.extension,
        "promise": promise_json(item.promise),
        "bound": None if item.bound is None else _bound(item.bound),
    }


def _bound(bound: Bound) -> Json:
    return {
        "count": bound.count,
        "index": bound.index,
        "otherwise": hex_text(bound.otherwise),
    }


def _load(load: Load) -> Json:
    return {
        "register": load.register,
        "kind": load.kind.value,
        "value": value_json(load.value),
        "fills": [_fill(load, fill) for fill in load.fills],
    }


def _fill(load: Load, fill: Fill) -> Json:
    return {
        "place": show_bits(load.register, fill.low, fill.high),
        "low": fill.low,
        "high": fill.high,
        "value": value_json(fill.value),
        "since": fill.since,
        "doc": fill.doc,
    }


def _edges(plan: Plan, target: Target, tables: Tables) -> Json:
    unfaulted = no_fault_reason(plan, target)
    fault, vectors = (None, ()) if unfaulted else (plan.edges.fault, plan.edges.vectors)
    if unfaulted is None and fault is None:
        unfaulted = "the description names single vectors only"
    return {
        "carry": {"action": _action(plan.edges.carry), "reason": no_carry_reason(plan)},
        "vectors": [
            {"vector": vector, "name": vector_name(vector), "action": _action(action)}
            for vector, action in vectors
        ],
        "fault": {"action": _action(fault), "reason": unfaulted},
        "refused": None if plan.edges.refused is None else _refused(plan.edges.refused, tables),
    }


def _refused(refusal: Refusal, tables: Tables) -> Json:
    place = refusal.place
    return {
        **_place(place.register, place.low, place.high),
        "value": hex_text(refusal.value),
        "families": [tables.family_name(family) for family in refusal.families],
        "action": _action(refusal.action),
    }


def _action(action: Action | None) -> Json | None:
    match action:
        case None:
            return None
        case ReturnValue(value):
            return {"kind": "return", "symbol": None, "value": value_json(value)}
        case Trap():
            return {"kind": "trap", "symbol": None, "value": None}
        case CallSymbol(symbol, result):
            given = None if result is None else value_json(result)
            return {"kind": "call", "symbol": symbol, "value": given}


def _again(clause: Again) -> Json:
    return {
        "kind": "resume" if clause.resumes else "retry",
        "attempts": clause.attempts,
        "matches": [match_json(match) for match in clause.matches],
        "steps": [_step(step) for step in clause.steps],
        "text": clause.text,
    }


def _step(step: SetBits | CarryRegister) -> Json:
    if isinstance(step, CarryRegister):
        return {"kind": "carry", **_place(step.register, 0, 63), "value": None}
    place = _place(step.place.register, step.place.low, step.place.high)
    return {"kind": "set", **place, "value": value_json(step.value)}


def _output(plan: Plan, delivery: Delivery, tables: Tables) -> Json:
    preload = plan.load(delivery.place.register)
    preset = None
    if preload is not None and preload.kind is LoadKind.PRELOAD:
        preset = constant_value(preload)
    kind, returned = "pointer", None
    if delivery.argument is None:
        kind, returned = "register", "rax" if plan.returns is Returns.VALUE else "rdx"
    elif plan.struct is not None and is_member(plan, delivery):
        kind = "member"
    return {
        "name": delivery.name,
        "group": delivery.group,
        "type": tables.types[delivery.type],
        "c_type": c_type(delivery.type),
        "width": delivery.type.width,
        **_place(delivery.place.register, delivery.place.low, delivery.place.high),
        "condition": None if delivery.test is None else _condition(delivery.test),
        "preload": None if preset is None else hex_text(preset),
        "delivery": {
            "kind": kind,
            "argument": delivery.argument,
            "offset": None if delivery.argument is None else delivery.offset,
            "register": returned,
        },
        "in_out": is_in_out(plan, delivery),
        "keep": delivery.keep,
        "optional": delivery.optional,
        "doc": delivery.doc,
    }


def _condition(test: StatusTest) -> Json:
    return {
        "text": test.text,
        "any_of": [match_json(match) for match in test.any_of],
        "inverted": test.inverted,
        "or_any_of": [match_json(match) for match in test.or_any_of],
        "none_of": [match_json(match) for match in test.none_of],
    }


def _struct(struct: Struct, tables: Tables) -> Json:
    return {
        "name": struct.name,
        "size": struct.size,
        "alignment": struct.alignment,
        "members": [
            {
                "name": member.name,
                "type": tables.types[member.type],
                "c_type": c_type(member.type),
                "width": member.type.width,
                "offset": member.offset,
                "length": member.length,
            }
            for member in struct.members
        ],
    }


# -- text


def _lines(value: Any, indent: int = 0, lead: int = 0) -> list[str]:
    """JSON as lines: one where it fits, else one or more for each member.

    `indent` is that of the line, `lead` the columns already used on it.
    """
    if not isinstance(value, dict | list) or not value:
        return [_encode(value)]
    is_object = isinstance(value, dict)
    opening, closing = "{}" if is_object else "[]"
    heads = [f"{_encode(key)}: " for key in value] if is_object else [""] * len(value)
    items = value.values() if isinstance(value, dict) else value
    members = [
        (head, _lines(item, indent + 2, len(head))) for head, item in zip(heads, items, strict=True)
    ]
    if all(len(lines) == 1 for _, lines in members):
        flat = opening + ", ".join(head + lines[0] for head, lines in members) + closing
        if indent + lead + len(flat) < _COLUMNS:
            return [flat]
    result = [opening]
    for head, lines in members:
        result += [" " * (indent + 2) + head + lines[0], *lines[1:]]
        result[-1] += ","
    result[-1] = result[-1].removesuffix(",")
    return [*result, " " * indent + closing]
