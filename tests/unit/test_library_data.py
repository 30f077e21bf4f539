"""The shipped TDX library against the data: statuses, operand ids, and every register of a leaf.

tests/data has the facts, read from module source and Linux independently of the library. Where the
library says less than the data, a table here says so, with the reason.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import seamir
from seamir.ir.leaf import ArgumentKind, Delivery, LoadKind, Plan, ReturnValue
from seamir.model.expressions import evaluate
from seamir.model.registers import ALL_BITS, slice_mask
from seamir.source import Source
from seamir.syntax import ast
from seamir.syntax.files import library_folder
from seamir.syntax.parser import parse

Row: TypeAlias = dict[str, Any]  # of the data

DATA = Path(__file__).parent.parent / "data"
LEAVES = {leaf["name"]: leaf for leaf in json.loads((DATA / "leaves.json").read_text())}
STATUSES = json.loads((DATA / "status_codes.json").read_text())
FILES = ("types", "status", "conduits", "host", "seamldr")

# Of the leaves of tdx/host.seam, what Linux's tdx.c exports to KVM, less TDH.VP.ENTER.
WRAPPED = """
    TDH.MNG.ADDCX TDH.MEM.PAGE.ADD TDH.MEM.SEPT.ADD TDH.VP.ADDCX TDH.MEM.PAGE.AUG
    TDH.MEM.RANGE.BLOCK TDH.MNG.KEY.CONFIG TDH.MNG.CREATE TDH.VP.CREATE TDH.MNG.RD
    TDH.MR.EXTEND TDH.MR.FINALIZE TDH.VP.FLUSH TDH.MNG.VPFLUSHDONE TDH.MNG.KEY.FREEID
    TDH.MNG.INIT TDH.VP.RD TDH.VP.WR TDH.VP.INIT TDH.PHYMEM.PAGE.RECLAIM TDH.MEM.TRACK
    TDH.MEM.PAGE.REMOVE TDH.PHYMEM.CACHE.WB TDH.PHYMEM.PAGE.WBINVD
    """.split()

# Parameter or output of the library: what the data calls the bits that it stands for.
INPUT_MEANING = {
    "tdr": {"tdr_hpa", "tdr_page_hpa", "tdr_hpa_51_12"},
    "tdvpr": {"tdvpr_hpa", "tdvpr_page_hpa"},
    "gpa": {"gpa_51_12", "gpa"},
    "level": {"level"},
    "page": {"target_page_hpa", "l1_sept_page_hpa", "page_hpa", "page_hpa_with_hkid"},
    "source": {"source_page_hpa"},
    "tdcs_page": {"tdcx_page_hpa"},
    "tdcx_page": {"tdcx_page_hpa"},
    "hkid": {"hkid"},
    "td_params": {"td_params_hpa"},
    "initial_rcx": {"initial_rcx"},
    "x2apicid": {"x2apic_id"},
    "field": {"field_id"},
    "data": {"data"},
    "mask": {"write_mask"},
    "resume": {"resume"},
}
OUTPUT_MEANING = {
    "ext_err1": {"ext_err1_sept_entry_arch", "removed_page_hpa"},
    "ext_err2": {"ext_err2_sept_level_state"},
    "extended_err": {"ext_err_cpuid_leaf_subleaf", "zero"},
    "data": {"field_value"},
    "tdx_pt": {"page_type"},
    "tdx_owner": {"owner_hpa"},
    "tdx_size": {"size"},
}

# Operands that the library leaves 0, as Linux does.
NOT_TAKEN = {
    ("TDH.MEM.PAGE.ADD", "level"): "has to be 0",
    ("TDH.MEM.SEPT.ADD", "allow_existing"): "Linux adds a page where there is none",
    ("TDH.MNG.INIT", "event_filtering"): "no event filters in Linux",
    ("TDH.MNG.INIT", "num_filters"): "no event filters in Linux",
    ("TDH.MNG.INIT", "hpa_51_12"): "no event filters in Linux",
}
# Outputs that the library declares as clobbered only, as Linux drops them.
NOT_DELIVERED = {
    ("TDH.VP.WR", "r8"): "the previous value",
    ("TDH.PHYMEM.PAGE.RECLAIM", "r9"): "hint for dynamic PAMT",
    ("TDH.PHYMEM.PAGE.RECLAIM", "r10"): "always 0",
    ("TDH.PHYMEM.PAGE.RECLAIM", "r11"): "always 0",
}
# Types whose `bits` are narrower than a register, by the data's name of the register.
BITS_TYPES = {"ext_err2_sept_level_state": "sept_info", "field_id": "md_field_id"}


@cache
def syntax(stem: str) -> ast.File:
    """The syntax tree of a library file."""
    path = library_folder() / "tdx" / f"{stem}.seam"
    return parse(Source(path.name, path.read_text()))


def plans_of(program: seamir.Program) -> dict[str, Plan]:
    """The plans of a description by leaf."""
    return {plan.leaf: plan for plan in seamir.compile(program, emit=()).plans}


@cache
def plans(conduit: str = "") -> dict[str, Plan]:
    """The plans of the wrapped leaves by leaf, with a conduit in place of seamcall."""
    swap = {"seamcall": conduit} if conduit else {}
    made = seamir.compile(seamir.load("tdx/host.seam", conduits=swap), emit=()).plans
    wrapped = {(name, LEAVES[name]["default_version"]) for name in WRAPPED}
    return {plan.leaf: plan for plan in made if (plan.leaf, plan.version) in wrapped}


def of_version(rows: list[Row], version: int) -> list[Row]:
    """The inputs or outputs that a version of a leaf has."""
    return [row for row in rows if version in row.get("only_versions", [version])]


def fields(row: Row) -> dict[str, int]:
    """Named bits of an operand as masks; the whole register if the data names no bits.

    Field ids are one value of many parts, so they count as whole.
    """
    if "bits" not in row or row["name"] in BITS_TYPES:
        return {row["name"]: ALL_BITS}
    return {bits["name"]: slice_mask(bits["lo"], bits["hi"]) for bits in row["bits"]}


def packed(plan: Plan, register: str, parameter: str | None) -> int:
    """The register's value with all promised bits of a parameter 1 and the other parameters 0."""
    load = plan.load(register)
    if load is None:
        return 0
    values = {i.name: i.promise.possible.bits if i.name == parameter else 0 for i in plan.inputs}
    return evaluate(load.value, values)


# -- the leaves


def test_the_wrapped_leaves() -> None:
    assert sorted(plans()) == sorted(WRAPPED)
    assert len(plans()) == 24


@pytest.mark.parametrize("name", WRAPPED)
def test_selection(name: str) -> None:
    plan, data = plans()[name], LEAVES[name]
    assert (plan.number, plan.version) == (data["leaf"], data["default_version"])
    assert plan.instruction.name == data["instruction"]
    assert packed(plan, "rax", None) == data["leaf"] | data["default_version"] << 16


@pytest.mark.parametrize("name", WRAPPED)
def test_each_parameter_fills_the_bits_it_stands_for(name: str) -> None:
    plan = plans()[name]
    data = {row["reg"]: row for row in of_version(LEAVES[name]["inputs"], plan.version)}
    loads = [load for load in plan.loads if load.kind is LoadKind.OPERAND]
    assert {load.register for load in loads} <= set(data)
    for load in loads:
        assert packed(plan, load.register, None) == 0
    for item in plan.inputs:
        places = [
            (load.register, mask)
            for load in loads
            if (mask := packed(plan, load.register, item.name))
        ]
        assert len(places) == 1, f"{item.name} goes to {places}"
        register, mask = places[0]
        meant = [m for n, m in fields(data[register]).items() if n in INPUT_MEANING[item.name]]
        assert len(meant) == 1, f"{item.name} is in {register}, the data's {data[register]['name']}"
        assert mask & ~meant[0] == 0, f"{item.name} may set {mask & ~meant[0]:#x} of {register}"


@pytest.mark.parametrize("name", WRAPPED)
def test_each_operand_is_taken_or_excepted(name: str) -> None:
    plan = plans()[name]
    for row in of_version(LEAVES[name]["inputs"], plan.version):
        for field, mask in fields(row).items():
            written = any(packed(plan, row["reg"], i.name) & mask for i in plan.inputs)
            assert written != ((name, field) in NOT_TAKEN), field


@pytest.mark.parametrize("name", WRAPPED)
def test_each_output_is_delivered_or_excepted(name: str) -> None:
    plan = plans()[name]
    data: dict[str, set[str]] = {}
    for row in of_version(LEAVES[name]["outputs"], plan.version):
        data.setdefault(row["reg"], set()).add(row["name"])
    delivered = {delivery.place.register: delivery for delivery in plan.deliveries}
    assert len(delivered) == len(plan.deliveries)
    dropped = {register for leaf, register in NOT_DELIVERED if leaf == name}
    assert set(data) == set(delivered) | dropped
    assert not set(delivered) & dropped
    for register, delivery in delivered.items():
        assert data[register] == OUTPUT_MEANING[delivery.name] & data[register], delivery.name
        assert is_whole_and_unconditional(delivery)


def is_whole_and_unconditional(delivery: Delivery) -> bool:
    """Whether Linux's callers get what they are used to: the register, on error too."""
    place = (delivery.place.low, delivery.place.high)
    return place == (0, 63) and delivery.test is None and not delivery.optional


@pytest.mark.parametrize("name", WRAPPED)
def test_what_no_operand_loads_is_preset_before_delivery(name: str) -> None:
    """Nothing of the caller's own is stored if the module leaves the register alone."""
    plan = plans()[name]
    for delivery in plan.deliveries:
        load = plan.load(delivery.place.register)
        assert load is not None
        assert load.kind is LoadKind.OPERAND or packed(plan, load.register, None) == 0


@pytest.mark.parametrize("name", WRAPPED)
def test_the_preserving_conduit_keeps_what_the_leaf_does_not_return(name: str) -> None:
    careful, trusting = plans()[name], plans("seamcall_preserving")[name]
    returned = {row["reg"] for row in of_version(LEAVES[name]["outputs"], careful.version)}
    assert trusting.destroyed == {"rax", "rcx", "rdx"} | returned
    assert careful.destroyed == {"rax", "rcx", "rdx", "r8", "r9", "r10", "r11"}
    assert packed(trusting, "rax", None) == packed(careful, "rax", None)


@pytest.mark.parametrize("name", WRAPPED)
def test_facts_and_documentation(name: str) -> None:
    plan, data = plans()[name], LEAVES[name]
    said = plan.documentation
    assert (said.effect == "global") == data["module_effect"]
    assert said.since is None or f"{said.since} (v{plan.version})" in data["since"]
    assert said.doc.strip()
    assert all(argument.doc.strip() for argument in plan.arguments)
    assert plan.again == () and plan.checks == () and plan.bound == 1


def linux_arguments(prototype: str) -> list[str]:
    """Names of a Linux prototype's parameters, objects by the address that stands for them."""
    inside = re.fullmatch(r"u64 \w+\((.*)\)", prototype)
    assert inside is not None
    names = {"struct tdx_td *td": "tdr", "struct tdx_vp *vp": "tdvpr", "kvm_pfn_t pfn": "page"}
    return [names.get(text) or text.split()[-1].lstrip("*") for text in inside[1].split(", ")]


@pytest.mark.parametrize("name", [n for n in WRAPPED if n != "TDH.PHYMEM.PAGE.WBINVD"])
def test_prototypes_are_those_of_linux(name: str) -> None:
    plan = plans()[name]
    (linux,) = LEAVES[name]["linux"]
    assert plan.symbol == linux["name"]
    assert [argument.name for argument in plan.arguments] == linux_arguments(linux["prototype"])
    pointers = {text.split("*")[1] for text in re.findall(r"u64 \*\w+", linux["prototype"])}
    outputs = {a.name for a in plan.arguments if a.kind is ArgumentKind.OUT}
    assert outputs == pointers
    assert all(a.type.width == 64 for a in plan.arguments if a.name in outputs)


def test_one_wrapper_for_wbinvd() -> None:
    plan = plans()["TDH.PHYMEM.PAGE.WBINVD"]
    assert plan.symbol == "tdh_phymem_page_wbinvd"
    assert [(a.name, a.type.name) for a in plan.arguments] == [("page", "keyed_hpa")]


def test_exceptions_are_needed() -> None:
    for name, field in NOT_TAKEN:
        version = plans()[name].version
        rows = of_version(LEAVES[name]["inputs"], version)
        assert any(field in fields(row) for row in rows), (name, field)
    for name, register in NOT_DELIVERED:
        assert register in {row["reg"] for row in LEAVES[name]["outputs"]}, (name, register)


@pytest.mark.parametrize("row_name", BITS_TYPES)
def test_bits_types(row_name: str) -> None:
    item = next(
        item
        for item in syntax("types").items
        if isinstance(item, ast.BitsItem) and item.name.text == BITS_TYPES[row_name]
    )
    said = {(field.slice.low.value, field.slice.high.value) for field in item.fields}
    rows = [row for leaf in LEAVES.values() for row in leaf["inputs"] + leaf["outputs"]]
    rows = [row for row in rows if row["name"] == row_name and "bits" in row]
    assert rows
    for row in rows:
        assert said == {(bits["lo"], bits["hi"]) for bits in row["bits"]}


# -- statuses


def codes(family: str) -> dict[str, list[int]]:
    """All values of each name of a status family or of operand ids, in order."""
    for item in syntax("status").items:
        if isinstance(item, ast.StatusesItem | ast.OperandsItem) and item.name.text == family:
            entries = item.codes if isinstance(item, ast.OperandsItem) else item.items
            found = [entry for entry in entries if isinstance(entry, ast.Code)]
            names = {code.name.text: [v.value for v in code.values] for code in found}
            assert len(names) == len(found), "a name is there twice"
            return names
    raise KeyError(family)


def data_codes(section: str) -> dict[str, int]:
    return {row["name"]: int(str(row["value"]), 0) for row in STATUSES[section]}


def test_module_statuses() -> None:
    """Current value first, then those of older modules, then Linux's where it is yet another."""
    linux = {row["name"]: int(row["linux"], 16) for row in STATUSES["linux_divergent_values"]}
    expected = {}
    for row in STATUSES["status_codes"]:
        values = [int(row["value"], 16)]
        values += [int(value, 16) for value in row.get("value_differs_by_version", {}).values()]
        values += [linux[row["name"]]] if row["name"] in linux else []
        expected[row["name"]] = list(dict.fromkeys(values))
    assert len(expected) == 299
    assert codes("tdx_status") == expected


def test_codes_without_a_remark_are_in_current_modules() -> None:
    items = [item for item in syntax("status").items if isinstance(item, ast.StatusesItem)]
    remarks = {c.name.text: c.doc for i in items for c in i.items if isinstance(c, ast.Code)}
    for row in STATUSES["status_codes"]:
        in_current = {"1.5.25", "2.0"} <= set(row["available_in"])
        is_connect = int(row["value"], 16) >> 40 & 0xFF == 15 and row["available_in"] == ["2.0"]
        assert in_current or is_connect or remarks[row["name"]], row["name"]


def test_changed_values_are_explained() -> None:
    items = [item for item in syntax("status").items if isinstance(item, ast.StatusesItem)]
    found = [c for i in items for c in i.items if isinstance(c, ast.Code) and len(c.values) > 1]
    assert [c.name.text for c in found] == [
        "TDX_NON_RECOVERABLE_TD",
        "TDX_NON_RECOVERABLE_TD_WRONG_APIC_MODE",
        "TDX_TD_FATAL",
    ]
    assert all("1.0" in code.doc and "1.5" in code.doc for code in found)


def test_one_name_for_a_value() -> None:
    names: dict[int, set[str]] = {}
    for family in ("tdx_status", "tdx_sw"):
        for name, values in codes(family).items():
            for value in values:
                names.setdefault(value, set()).add(name)
    shared = [found for found in names.values() if len(found) > 1]
    assert shared == [{"TDX_BOOT_NT4_SET", "TDX_LIMIT_CPUID_MAXVAL_SET"}]
    sentinel = int(STATUSES["internal_only"][0]["value"], 16)
    assert sentinel not in names, "no module returns it"


def test_operand_ids() -> None:
    expected = {
        re.sub("^OPERAND_ID_(Reserved_)?", "", name): [value]
        for name, value in data_codes("operand_ids").items()
    }
    ids = codes("tdx_operand_id")
    assert ids == expected
    for name, value in data_codes("linux_operand_id_aliases").items():
        assert ids[name.removeprefix("TDX_OPERAND_ID_")] == [value]


def test_other_families() -> None:
    assert codes("pseamldr_status") == {n: [v] for n, v in data_codes("pseamldr").items()}
    tdvmcall = data_codes("tdvmcall_r10_status")
    assert codes("tdvmcall_status") == {n: [v] for n, v in tdvmcall.items()}


def test_software_statuses() -> None:
    """Those of Linux that are bits rather than statuses are constants."""
    linux = data_codes("linux_software_defined")
    assert codes("tdx_sw") == {n: [v] for n, v in linux.items() if v >> 40 & 0xFF == 0xFF}
    constants = {
        item.name.text: item.value.value
        for item in syntax("status").items
        if isinstance(item, ast.ConstItem) and isinstance(item.value, ast.LiteralExpr)
    }
    rest = {name: value for name, value in linux.items() if value >> 40 & 0xFF != 0xFF}
    assert rest.items() <= constants.items()


def test_success_and_details() -> None:
    plan = plans()["TDH.MEM.PAGE.REMOVE"]
    family, software = plan.conduit.families
    assert (family.name, software.name) == ("tdx_status", "tdx_sw")
    assert plan.success is not None
    for status in (v for code in family.codes.values() for v in code.values):
        success = any(match.accepts(status) for match in plan.success)
        assert success == (status >> 62 == 0)
        assert status & family.detail == 0
    busy = family.matches(family.codes["TDX_OPERAND_BUSY"], (0x92,))
    assert [match.accepts(0x8000020000000092) for match in busy] == [True]
    assert [match.accepts(0x9000020000000092) for match in busy] == [True], "bit 60 is a hint"
    assert [match.accepts(0x8000020000000080) for match in busy] == [False]


def test_edges() -> None:
    edges = plans()["TDH.MEM.PAGE.REMOVE"].edges
    carry, fault = edges.carry, edges.fault
    assert isinstance(carry, ReturnValue) and isinstance(fault, ReturnValue)
    assert edges.vectors == ()
    software = data_codes("linux_software_defined")
    assert evaluate(carry.value, {}) == software["TDX_SEAMCALL_VMFAILINVALID"]
    assert evaluate(fault.value, {}, 6) == software["TDX_SEAMCALL_UD"]
    assert evaluate(fault.value, {}, 13) == software["TDX_SEAMCALL_GP"]


# -- the other conduits


def test_pseamldr() -> None:
    leaves = {name: row["leaf"] for name, row in LEAVES.items() if name.startswith("SEAMLDR.")}
    assert len(leaves) == 4
    lines = [f"leaf {n} = {v & 0xFFFF} via pseamldr ();" for n, v in leaves.items()]
    text = 'import "tdx/conduits.seam";\n' + "\n".join(lines)
    made = plans_of(seamir.load_text(text, "pseamldr.seam"))
    assert {name: packed(plan, "rax", None) for name, plan in made.items()} == leaves
    for plan in made.values():
        assert [family.name for family in plan.conduit.families] == ["pseamldr_status", "tdx_sw"]
        assert plan.success is not None
        statuses = data_codes("pseamldr")
        accepted = {n for n, v in statuses.items() if any(m.accepts(v) for m in plan.success)}
        assert accepted == {"PSEAMLDR_SUCCESS"}


def test_tdcall() -> None:
    lines = [
        f"leaf {name} = {row['leaf']} version {row['default_version']} via tdcall ();"
        for name, row in LEAVES.items()
        if row["instruction"] == "tdcall"
    ]
    text = 'import "tdx/conduits.seam";\n' + "\n".join(lines)
    made = plans_of(seamir.load_text(text, "tdcall.seam"))
    assert len(made) == len(lines)
    for name, plan in made.items():
        row = LEAVES[name]
        assert packed(plan, "rax", None) == row["leaf"] | row["default_version"] << 16
        assert (plan.edges.carry, plan.edges.fault, plan.edges.vectors) == (None, None, ())


# -- the files themselves


@pytest.mark.parametrize("stem", FILES)
def test_form(stem: str) -> None:
    text = syntax(stem).source.text
    assert text.isascii() and text.endswith("\n") and not text.endswith("\n\n")
    for number, line in enumerate(text.splitlines(), 1):
        assert len(line) <= 100, number
        assert line == line.rstrip() and "\t" not in line, number


@pytest.mark.parametrize("stem", FILES)
def test_checks_by_itself(stem: str) -> None:
    assert seamir.check(seamir.load(f"tdx/{stem}.seam")) == ()
