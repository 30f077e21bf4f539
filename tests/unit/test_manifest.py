"""The manifest: valid under its schema, says what the plan says, and survives odd input."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import documented_plans as made
import jsonschema
import pytest
from golden_cases import case_names, compile_case

import seamir
from seamir.emit.manifest import emit_manifest
from seamir.emit.manifest_tables import promise_json
from seamir.ir.leaf import Plan
from seamir.model.expressions import Constant, Expression, ParameterValue, TrapNumber, evaluate
from seamir.model.registers import ALL_BITS
from seamir.model.types import Type
from seamir.targets import TARGETS, select_target

SCHEMA = json.loads((files("seamir.emit") / "manifest.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
KERNEL = select_target("linux-kernel")
VERSIONS = {"seamir": "0.1", "llvm": "22.1"}


@dataclass(frozen=True)
class Cost:
    bytes: int
    instructions: int
    stack_bytes: int


def text_of(*plans: Plan, costs: dict[str, Cost] | None = None) -> str:
    return emit_manifest(plans, KERNEL, "made_up.seam", costs, VERSIONS)


def manifest(*plans: Plan, costs: dict[str, Cost] | None = None) -> Any:
    return json.loads(text_of(*plans, costs=costs))


def wrapper(plan: Plan) -> Any:
    return manifest(plan)["wrappers"][0]


# -- the schema


def test_the_schema_is_one_itself() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_elements_that_share_a_member_of_a_layout_have_a_name_together() -> None:
    text = """
    conduit c { instruction tdcall "66 0f 01 cc"; status rax; }
    layout three { rcx @0; rdx @8; r8 @16; }
    leaf A via c () -> (a: u64[2] = {rcx, rdx}, b: u8[2] = {rdx, r8}) { deliver struct three; }
    """
    compilation = seamir.compile(seamir.load_text(text), emit=("manifest",))
    data = json.loads(compilation.outputs["manifest"].text)
    VALIDATOR.validate(data)
    names = [output["name"] for output in data["wrappers"][0]["outputs"]]
    assert names == ["a[0]", "a_1_or_b_0", "b[1]"]


@pytest.mark.parametrize("target", TARGETS)
def test_manifests_are_valid(target: str) -> None:
    costs = {"tdh_mem_track": Cost(23, 7, 0)}
    plans = made.all_plans()
    text = emit_manifest(plans, select_target(target), "made_up.seam", costs, VERSIONS)
    VALIDATOR.validate(json.loads(text))


def objects_of(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all objects in a JSON value."""
    if isinstance(value, dict):
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        if isinstance(child, dict | list):
            yield from objects_of(child, (*path, key))


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize("name", case_names())
def test_manifests_of_golden_cases_are_valid(name: str) -> None:
    VALIDATOR.validate(json.loads(compile_case(name).outputs["manifest"].text))


def test_manifests_of_the_library_are_valid() -> None:
    for name in ("host", "guest", "seamldr", "tdvmcall", "resume", "linux_compat", "connect_rfc"):
        program = seamir.load(f"tdx/{name}.seam", allow_calls=["kvm_spurious_fault"])
        plans = seamir.compile(program, emit=()).plans
        VALIDATOR.validate(
            json.loads(emit_manifest(plans, TARGETS["linux-kernel"], name, None, VERSIONS))
        )


def test_every_object_takes_no_other_member_and_lacks_none() -> None:
    whole = manifest(*made.all_plans(), costs={"tdh_mem_track": Cost(23, 7, 0)})
    shapes: set[tuple[str, ...]] = set()
    for path in objects_of(whole):
        shape = (*(str(key) for key in path if isinstance(key, str)), *sorted(at(whole, path)))
        if shape in shapes:
            continue
        shapes.add(shape)
        broken = copy.deepcopy(whole)
        at(broken, path)["surprise"] = 1
        assert not VALIDATOR.is_valid(broken), path
        for key in list(at(whole, path)):
            if path == ("versions",) and key != "seamir":
                continue
            broken = copy.deepcopy(whole)
            del at(broken, path)[key]
            assert not VALIDATOR.is_valid(broken), (path, key)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "other"),
        (("schema_version",), 1),
        (("wrappers", 0, "number"), 29),
        (("wrappers", 0, "number"), "29"),
        (("wrappers", 0, "number"), "0X1D"),
        (("wrappers", 0, "number"), "0x01d"),
        (("wrappers", 0, "selectors", 0, "value"), "0x10000000000000000"),
        (("wrappers", 0, "symbol"), "a b"),
        (("wrappers", 0, "attempt_bound"), 0),
        (("wrappers", 0, "attempt_bound"), 65536),
        (("wrappers", 0, "loads", 0, "register"), "rsp"),
        (("wrappers", 0, "loads", 0, "kind"), "other"),
        (("wrappers", 0, "loads", 0, "fills", 0, "high"), 64),
        (("wrappers", 0, "loads", 1, "value", "tree"), ["*", "gpa", "level"]),
        (("wrappers", 0, "loads", 1, "value", "tree"), ["|", "gpa"]),
        (("wrappers", 0, "loads", 1, "value", "tree"), 1),
        (("wrappers", 0, "arguments", 0, "width"), 12),
        (("wrappers", 0, "arguments", 0, "extension"), "any"),
        (("wrappers", 0, "instruction", "bytes"), "66 0f"),
        (("wrappers", 0, "edges", "carry", "reason"), "both"),
        (("wrappers", 0, "edges", "carry", "action"), None),
        (("wrappers", 0, "returns"), "values"),
        (("wrappers", 0, "outputs", 0, "delivery", "register"), "rcx"),
        (("wrappers", 0, "again", 0, "attempts"), 0),
        (("wrappers", 0, "cost"), {}),
        (("types", 0, "promise", "low"), 0),
        (("statuses", 0, "codes", 0, "values"), []),
    ],
)
def test_mutilated_manifests_are_invalid(path: tuple[str | int, ...], value: Any) -> None:
    whole = manifest(made.removal())
    VALIDATOR.validate(whole)
    at(whole, path[:-1])[path[-1]] = value
    assert not VALIDATOR.is_valid(whole)


# -- what it says


def test_the_head() -> None:
    whole = manifest(made.simple())
    assert whole["schema"] == "seamir-manifest" and whole["schema_version"] == 3
    assert list(whole["versions"]) == ["llvm", "seamir"]
    assert whole["target"] == {
        "name": "linux-kernel",
        "format": "elf",
        "convention": "System V",
        "code_model": "kernel",
        "features": ["fixup", "ibt", "kernel-model", "rethunk", "sls"],
        "fixup_section": "__ex_table",
        "fixup_type": 2,
    }


def test_a_wrapper_says_how_it_is_called() -> None:
    said = wrapper(made.removal())
    assert (said["symbol"], said["leaf"]) == ("tdh_mem_page_remove", "TDH.MEM.PAGE.REMOVE")
    assert (said["number"], said["version"], said["conduit"]) == ("0x1d", 0, "seamcall")
    assert said["instruction"] == {"name": "seamcall", "bytes": "660f01cf"}
    assert "rax" not in said
    assert said["selectors"] == [{"register": "rax", "value": "0x1d"}]
    assert wrapper(made.export())["selectors"] == [{"register": "rax", "value": "0x10044"}]


def test_arguments_keep_their_order_width_and_promise() -> None:
    arguments = wrapper(made.removal())["arguments"]
    assert [(a["name"], a["kind"], a["c_type"]) for a in arguments] == [
        ("tdr", "value", "hpa_t"),
        ("gpa", "value", "gpa_t"),
        ("level", "value", "s32"),
        ("page", "out", "hpa_t"),
        ("entry", "out", "u64"),
        ("info", "out", "tdx_sept_info_t"),
    ]
    level = arguments[2]
    assert (level["width"], level["extension"], level["type"]) == (32, "sign", "s32")
    assert level["promise"]["low"] == "0x0" and level["promise"]["high"] == "0x4"
    assert arguments[3]["promise"] is None and arguments[5]["optional"]


def test_registers_are_in_abi_order_with_what_fills_them() -> None:
    loads = wrapper(made.export())["loads"]
    assert [(load["register"], load["kind"]) for load in loads] == [
        ("rax", "selector"),
        ("rcx", "operand"),
        ("rdx", "preload"),
        ("r9", "operand"),
        ("r10", "operand"),
    ]
    (fill,) = loads[4]["fills"]
    assert (fill["place"], fill["low"], fill["high"]) == ("r10[15:0]", 0, 15)
    assert fill["value"] == {
        "text": "stream",
        "constant": None,
        "parameters": ["stream"],
        "tree": "stream",
    }
    assert loads[3]["fills"][0]["value"]["constant"] == "0x1"
    assert loads[3]["fills"][0]["since"] == "1.5.16"


def compute(tree: Any, inputs: dict[str, int]) -> int:
    """What a reader of the manifest makes of a tree."""
    if isinstance(tree, str):
        return int(tree, 16) if tree.startswith("0x") else inputs[tree]
    operator, a, b = tree[0], compute(tree[1], inputs), compute(tree[2], inputs)
    results: dict[str, Callable[[], int]] = {
        "|": lambda: a | b,
        "+": lambda: a + b,
        "-": lambda: a - b,
        "<<": lambda: a << b,
        ">>": lambda: a >> b,
    }
    return results[operator]() & ALL_BITS


def test_trees_mean_what_the_expressions_mean() -> None:
    values = {"tdr": 0x123456789000, "gpa": 0xABC000, "level": 3, "resume": 1, "info": 0x1234}
    values |= {"list": ALL_BITS, "stream": 77, "field_id": 1 << 63}
    for plan in made.all_plans():
        trees = {load["register"]: load["value"]["tree"] for load in wrapper(plan)["loads"]}
        for load in plan.loads:
            expected = evaluate(load.value, values)
            assert compute(trees[load.register], values) == expected, (plan.symbol, load.register)


def test_outputs_say_where_when_and_how() -> None:
    page, entry, info = wrapper(made.removal())["outputs"]
    assert (page["register"], page["low"], page["high"]) == ("rcx", 0, 63)
    assert page["condition"]["text"] == "success" and not page["condition"]["inverted"]
    assert entry["condition"]["inverted"]
    assert entry["condition"]["any_of"] == [{"mask": "0xc000000000000000", "value": "0x0"}]
    assert info["condition"] is None and info["keep"] and info["optional"]
    assert page["delivery"] == {
        "kind": "pointer",
        "argument": "page",
        "offset": 0,
        "register": None,
    }
    members = [output["delivery"] for output in wrapper(made.structured())["outputs"]]
    assert [(m["kind"], m["argument"], m["offset"]) for m in members] == [
        ("member", "out", 0),
        ("member", "out", 8),
    ]
    (value,) = wrapper(made.paired())["outputs"]
    assert value["delivery"] == {
        "kind": "register",
        "argument": None,
        "offset": None,
        "register": "rdx",
    }
    carried, pages = wrapper(made.export())["outputs"]
    assert carried["in_out"] and not pages["in_out"]
    assert pages["preload"] == "0x0" and carried["preload"] is None


def test_clauses_and_their_bound() -> None:
    said = wrapper(made.export())
    (clause,) = said["again"]
    assert (clause["kind"], clause["attempts"], said["attempt_bound"]) == ("resume", 1000, 1001)
    assert [(s["kind"], s["register"], s["low"], s["high"]) for s in clause["steps"]] == [
        ("set", "r10", 63, 63),
        ("carry", "rcx", 0, 63),
    ]
    assert said["guard"] == {"mask": "0x8000000000000000", "value": "0x8000000000000000"}
    assert [c["kind"] for c in wrapper(made.removal())["again"]] == ["retry", "retry"]


def test_edges_and_the_reasons_why_there_is_none() -> None:
    edges = wrapper(made.removal())["edges"]
    assert edges["carry"]["action"]["value"]["constant"] == "0x8000ff00ffff0000"
    assert edges["fault"]["action"]["value"]["tree"] == ["|", "0x8000ff0000000000", "$trapnr"]
    (vector,) = edges["vectors"]
    assert (vector["vector"], vector["name"]) == (6, "#UD")
    assert vector["action"]["symbol"] == "kvm_spurious_fault"
    edges = wrapper(made.simple(conduit=made.TDCALL))["edges"]
    assert edges == {
        "carry": {"action": None, "reason": "tdcall does not report in the carry flag"},
        "vectors": [],
        "fault": {"action": None, "reason": "the description gives faults no meaning"},
        "refused": None,
    }
    bare = select_target("linux-kernel", ("-fixup",))
    said = json.loads(emit_manifest([made.removal()], bare, "x.seam", None, VERSIONS))
    assert said["target"]["fixup_section"] is None
    assert said["wrappers"][0]["edges"]["vectors"] == []
    assert "without a fixup table" in said["wrappers"][0]["edges"]["fault"]["reason"]


def test_checks_destroyed_registers_and_documentation() -> None:
    said = wrapper(made.export())
    assert said["checks"][0]["status"] == "0xc00001000000000a"
    assert said["destroys"]["registers"] == ["rax", "rcx", "rdx", "r8", "r9", "r10", "r11"]
    assert (said["effect"], said["deprecated"]) == ("global", "use version 2")
    said = wrapper(made.removal())
    assert said["requires"] == ["TD_PRESERVING"] and said["since"] == "1.0"
    assert wrapper(made.fatal())["returns"] == "nothing"
    assert wrapper(made.fatal())["section"] == ".noinstr.text"


def test_costs_come_after_code_generation() -> None:
    costs = {"tdh_mem_track": Cost(23, 7, 8)}
    first, second = manifest(made.simple(), made.fatal(), costs=costs)["wrappers"]
    assert first["cost"] == {"bytes": 23, "instructions": 7, "stack_bytes": 8}
    assert second["cost"] is None


def test_the_bits_of_a_promise_are_those_that_its_range_leaves() -> None:
    assert promise_json(made.LEVEL)["bits"] == "0x7"
    assert promise_json(made.ranged("small", made.S32, -2, 2))["bits"] == "0xffffffffffffffff"
    null = replace(made.HPA, constants=(ALL_BITS,))
    assert promise_json(null)["bits"] == promise_json(made.HPA)["bits"] == "0xffffffffff000"


def test_tables_have_every_type_and_family_once() -> None:
    whole = manifest(*made.all_plans())
    names = [kind["name"] for kind in whole["types"]]
    assert names == sorted(set(names))
    assert {"hpa", "gpa", "sept_level", "sept_info", "u64", "s32"} <= set(names)
    assert [family["name"] for family in whole["statuses"]] == ["tdx_status", "tdx_sw"]
    info = next(kind for kind in whole["types"] if kind["name"] == "sept_info")
    assert [field["mask"] for field in info["fields"]] == ["0x7", "0xff00"]


def test_two_types_of_one_name_are_told_apart() -> None:
    def other(kind: Type) -> Type:
        return replace(kind, doc="from another file")

    plan = replace(made.simple("other"), arguments=(made.argument("tdr", other(made.HPA)),))
    plan = replace(plan, inputs=(made.given("tdr", other(made.HPA)),))
    whole = manifest(made.simple(), plan)
    VALIDATOR.validate(whole)
    assert [kind["name"] for kind in whole["types"]] == ["hpa", "hpa#2", "u64"]
    assert [w["arguments"][0]["type"] for w in whole["wrappers"]] == ["hpa", "hpa#2"]


# -- its text


def test_the_text_is_the_same_each_time_and_ends_with_a_line() -> None:
    text = text_of(*made.all_plans())
    assert text == text_of(*made.all_plans())
    assert text.endswith("}\n") and text.isascii() and "\r" not in text
    assert max(len(line) for line in text.split("\n")) <= 200


def test_numbers_above_53_bits_are_strings() -> None:
    def numbers(value: Any) -> Iterator[int]:
        if isinstance(value, int) and not isinstance(value, bool):
            yield value
        elif isinstance(value, dict):
            for child in value.values():
                yield from numbers(child)
        elif isinstance(value, list):
            for child in value:
                yield from numbers(child)

    assert max(numbers(manifest(*made.all_plans()))) < 1 << 17


@pytest.mark.parametrize(
    "expression",
    [Constant(ALL_BITS, "NULL_PA"), ParameterValue("tdr", made.HPA.possible), TrapNumber()],
)
def test_every_expression_is_valid(expression: Expression) -> None:
    plan = replace(made.simple(), loads=(made.load("rcx", made.fill(expression)),))
    VALIDATOR.validate(manifest(plan))


def test_hostile_text_is_quoted() -> None:
    hostile = '"},{"x": "\\\n\u202e\x00é'
    plan = made.simple()
    plan = replace(plan, documentation=replace(plan.documentation, doc=hostile, notes=(hostile,)))
    text = emit_manifest([plan], KERNEL, hostile, None, VERSIONS)
    assert text.isascii()
    assert json.loads(text)["wrappers"][0]["doc"] == hostile
    VALIDATOR.validate(json.loads(text))
