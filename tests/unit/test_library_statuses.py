"""The shipped statuses and operand ids against the data, and what the conduits make of them."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from library import DATA, data, plans

from seamir.ir.leaf import Plan, ReturnValue
from seamir.model.expressions import evaluate
from seamir.source import Source
from seamir.syntax import ast
from seamir.syntax.files import library_folder
from seamir.syntax.parser import parse

STATUSES: dict[str, list[dict[str, Any]]] = json.loads((DATA / "status_codes.json").read_text())


@cache
def syntax() -> ast.File:
    """The syntax tree of the statuses."""
    path = library_folder() / "tdx" / "status.seam"
    return parse(Source(path.name, path.read_text()))


def page_remove() -> Plan:
    """The plan of a leaf of the host."""
    return plans("host")["TDH.MEM.PAGE.REMOVE", 0]


def codes(family: str) -> dict[str, list[int]]:
    """All values of each name of a status family or of operand ids, in order."""
    for item in syntax().items:
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
    items = [item for item in syntax().items if isinstance(item, ast.StatusesItem)]
    remarks = {c.name.text: c.doc for i in items for c in i.items if isinstance(c, ast.Code)}
    for row in STATUSES["status_codes"]:
        in_current = {"1.5.25", "2.0"} <= set(row["available_in"])
        is_connect = int(row["value"], 16) >> 40 & 0xFF == 15 and row["available_in"] == ["2.0"]
        assert in_current or is_connect or remarks[row["name"]], row["name"]


def test_changed_values_are_explained() -> None:
    items = [item for item in syntax().items if isinstance(item, ast.StatusesItem)]
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
        for item in syntax().items
        if isinstance(item, ast.ConstItem) and isinstance(item.value, ast.LiteralExpr)
    }
    rest = {name: value for name, value in linux.items() if value >> 40 & 0xFF != 0xFF}
    assert rest.items() <= constants.items()


def test_success_and_details() -> None:
    plan = page_remove()
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
    edges = page_remove().edges
    carry, fault = edges.carry, edges.fault
    assert isinstance(carry, ReturnValue) and isinstance(fault, ReturnValue)
    assert edges.vectors == ()
    software = data_codes("linux_software_defined")
    assert evaluate(carry.value, {}) == software["TDX_SEAMCALL_VMFAILINVALID"]
    assert evaluate(fault.value, {}, 6) == software["TDX_SEAMCALL_UD"]
    assert evaluate(fault.value, {}, 13) == software["TDX_SEAMCALL_GP"]


def test_success_of_the_pseamldr() -> None:
    statuses = data_codes("pseamldr")
    for plan in plans("seamldr").values():
        assert plan.success is not None
        accepted = {n for n, v in statuses.items() if any(m.accepts(v) for m in plan.success)}
        assert accepted == {"PSEAMLDR_SUCCESS"}


def test_statuses_that_the_leaves_repeat_on() -> None:
    """What the data says of a leaf and of the statuses agrees, by name and by value."""
    known, ids = codes("tdx_status"), codes("tdx_operand_id")
    rows = [row for stem in ("host", "guest") for row in data(stem).values()]
    text = " ".join(status for row in rows for status in row["retry_status"])
    found = set(re.findall(r"\b(TDX_\w+)\((0x[0-9a-fA-F]{16})\)", text))
    assert len(found) > 10
    for name, value in found:
        assert int(value, 16) in known[name], name
    operands = set(re.findall(r"TDX_OPERAND_BUSY\|(\w+)\((0x\w\w)\)", text))
    assert operands
    for name, value in operands:
        assert any(int(value, 16) in values for n, values in ids.items() if n.startswith(name))
