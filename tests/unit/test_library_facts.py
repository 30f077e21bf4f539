"""What the shipped leaves say of themselves, against the data: since when, global effect, notes.

And that what Linux wraps has the name and the arguments that Linux gives it, and the form of the
files.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from library import SOURCES, Case, Row, cases, data

import seamir
from seamir.ir.leaf import Argument, ArgumentKind, ReturnValue
from seamir.source import Source
from seamir.syntax.files import library_folder
from seamir.syntax.parser import parse

by_case = pytest.mark.parametrize("case", cases(), ids=str)

FILES = sorted(path.stem for path in (library_folder() / "tdx").iterdir())

# Leaves that test an argument, and why.
CHECKS = {"TDH.MEM.PAGE.DEMOTE": "how many pages there are is known when it runs"}


# -- facts


@by_case
def test_effect(case: Case) -> None:
    assert case.plan.documentation.effect == ("global" if case.row["module_effect"] else None)


def since(row: Row, version: int) -> str | None:
    """The first module that has a version of a leaf; None for all, and for features.

    The modules 1.0 know no versions, so 1 and 2 are not older than 1.5.
    """
    text = row.get("since", "")
    stated = re.search(rf"v{version}: ([^;]*)|([\d.]+) \(v{version}\)", text)
    available = row.get("version_availability", {}).get(str(version), row["available_in"])
    first = available[0] if available else ""
    if stated is not None:
        first = stated[1] or stated[2]
    elif re.fullmatch(r"[\d.]+", text):
        first = text
    if newer := re.search(r"newer[- ]than[- ]([\d.]+)", first):
        return f"newer than {newer[1]}"
    if first == "1.0":
        return "1.5" if version else None
    return first if re.fullmatch(r"[\d.]+", first) else None


@by_case
def test_since(case: Case) -> None:
    assert case.plan.documentation.since == since(case.row, case.version)


@by_case
def test_operands_that_came_later_are_those_of_the_data(case: Case) -> None:
    for load in case.plan.loads:
        for fill in load.fills:
            if fill.since is not None:
                note = case.inputs[load.register].get("note", "")
                if found := re.fullmatch(r"as (R\d+)", note):
                    note = case.inputs[found[1].lower()]["note"]
                assert fill.since in note, f"{load.register}: {note}"


def is_certain(row: Row) -> bool:
    """Whether all that the data says of a leaf was read in the code of a module."""
    marks = {"outputs_confidence", "confidence_note"} & set(row)
    outputs = [output for output in row["outputs"] if "confidence" in output]
    return row["confidence"] == "code" and not marks and not outputs


@by_case
def test_what_is_not_certain_has_a_note(case: Case) -> None:
    if not is_certain(case.row):
        assert case.plan.documentation.notes


def test_much_is_certain_and_much_is_not() -> None:
    certain = [is_certain(case.row) for case in cases()]
    assert 100 < sum(certain) < len(certain) - 30


@by_case
def test_documentation(case: Case) -> None:
    plan = case.plan
    assert plan.documentation.doc.strip()
    assert all(argument.doc.strip() for argument in plan.arguments if is_described(argument))
    for delivery in plan.deliveries:  # in and out: the parameter says both
        argument = plan.argument(delivery.argument)
        is_read = argument is not None and argument.kind is ArgumentKind.IN_OUT
        assert delivery.doc.strip() or is_read, delivery.name


def is_described(argument: Argument) -> bool:
    """Whether the description has a place to document an argument.

    It has none for the structure of all outputs and for the number of elements of an array.
    """
    return argument.kind is not ArgumentKind.STRUCT and not argument.type.name.startswith("u64 in")


@by_case
def test_a_leaf_makes_one_call(case: Case) -> None:
    plan = case.plan
    assert plan.again == () and plan.bound == 1
    assert bool(plan.checks) == (case.name in CHECKS)


@by_case
def test_calls_that_do_not_complete(case: Case) -> None:
    edges = case.plan.edges
    if case.row["instruction"] == "tdcall":
        assert edges.actions == ()
    else:
        assert isinstance(edges.carry, ReturnValue) and isinstance(edges.fault, ReturnValue)
        assert edges.vectors == () and edges.refused is None


@by_case
def test_families_of_statuses(case: Case) -> None:
    module = "pseamldr_status" if case.stem == "seamldr" else "tdx_status"
    software = [] if case.row["instruction"] == "tdcall" else ["tdx_sw"]
    assert [family.name for family in case.plan.conduit.families] == [module, *software]


# -- Linux

# Functions of Linux that take something else than the leaf does.
OTHERWISE = {
    "TDH.VP.ENTER": "flags are set by its caller, in the structure; the leaf has them as arguments",
    "TDH.MEM.PAGE.DEMOTE": "a cache of pages, and no pages for L2 VMs",
    "TDH.PHYMEM.PAGE.WBINVD": "two functions, which put the key id into the address",
    "TDH.SPDM.DELETE": "takes the list of pages apart",
    "TDH.IDE.STREAM.DELETE": "takes the list of pages apart",
}
# What Linux passes where the leaf takes an address.
OBJECTS = {
    "struct tdx_td *td": "tdr",
    "struct tdx_vp *vp": "tdvpr",
    "kvm_pfn_t pfn": "page",
}


def wrapped() -> list[tuple[Case, Row]]:
    """The leaves of which Linux has a function with the leaf's name, and that function."""
    found = []
    for case in cases():
        default = data(case.stem).get(case.name, {}).get("default_version")
        for linux in case.row["linux"]:
            is_leaf = re.match(r"u64 tdh_\w+\(", linux["prototype"])
            if is_leaf and case.version == default and case.name not in OTHERWISE:
                found.append((case, linux))
    return found


def linux_arguments(prototype: str) -> list[str]:
    """Names of a Linux prototype's parameters, objects by the address that stands for them."""
    inside = re.fullmatch(r"u64 \w+\((.*)\)", prototype)
    assert inside is not None
    texts = [] if inside[1] == "void" else inside[1].split(", ")
    return [OBJECTS.get(text) or text.split()[-1].lstrip("*") for text in texts]


@pytest.mark.parametrize(("case", "linux"), wrapped(), ids=lambda value: getattr(value, "name", ""))
def test_prototypes_are_those_of_linux(case: Case, linux: Row) -> None:
    plan = case.plan
    assert plan.symbol == linux["name"]
    assert [argument.name for argument in plan.arguments] == linux_arguments(linux["prototype"])
    pointers = {text.split("*")[1] for text in re.findall(r"u64 \*\w+", linux["prototype"])}
    outputs = {a.name for a in plan.arguments if a.kind is ArgumentKind.OUT}
    assert outputs == pointers
    assert all(a.type.width == 64 for a in plan.arguments if a.name in outputs)
    for delivery in plan.deliveries:
        assert (delivery.place.low, delivery.place.high) == (0, 63)
        assert delivery.test is None and not delivery.optional, "Linux stores on error too"


def test_what_linux_wraps() -> None:
    assert len({case.key for case, _ in wrapped()}) == 33
    named = {case.name for case in cases() if case.row["linux"]}
    assert set(OTHERWISE) <= named


def test_one_wrapper_for_wbinvd() -> None:
    plan = Case("host", "TDH.PHYMEM.PAGE.WBINVD", 0).plan
    assert plan.symbol == "tdh_phymem_page_wbinvd"
    assert [(a.name, a.type.name) for a in plan.arguments] == [("page", "keyed_hpa")]


# -- the files themselves


@pytest.mark.parametrize("stem", FILES)
def test_form(stem: str) -> None:
    path = library_folder() / "tdx" / f"{stem}.seam"
    text = parse(Source(path.name, path.read_text())).source.text
    assert text.isascii() and text.endswith("\n") and not text.endswith("\n\n")
    for number, line in enumerate(text.splitlines(), 1):
        assert len(line) <= 100, number
        assert line == line.rstrip() and "\t" not in line, number


@pytest.mark.parametrize("stem", FILES)
def test_checks_by_itself(stem: str) -> None:
    program = seamir.load(f"tdx/{stem}.seam", allow_calls=["kvm_spurious_fault"])
    assert seamir.check(program) == ()


def test_every_file_is_held() -> None:
    """A file is one of leaves, of what they share, or of wrappers; no other has leaves."""
    folder = library_folder() / "tdx"
    with_leaves = {p.stem for p in folder.iterdir() if has_leaf(p)}
    assert with_leaves == {*SOURCES, "tdvmcall"}


def has_leaf(path: Path) -> bool:
    """Whether a description defines a leaf."""
    return re.search("^leaf ", path.read_text(), re.MULTILINE) is not None
