"""The shipped leaves against the data: selectors, every operand and output, and their bits.

Where the library says less than the data, or it better, a table here says so, with the reason.
The tests compare a table with the deviations there are, so that a row that is not needed fails.
"""

from __future__ import annotations

import re

import library_names
import pytest
from library import (
    ALIASES,
    LEFT_OUT,
    SOURCES,
    Case,
    Row,
    cases,
    data,
    fields,
    means,
    operands,
    own_fields,
    packed,
    plans,
    promised_bits,
    ranges,
)

from seamir.ir.leaf import Delivery, Input, LoadKind
from seamir.model.registers import slice_mask

Key = tuple[str, int]  # leaf and version

AS_LINUX = "as Linux calls it"
NO_RBP = "the TD has NO_RBP_MOD; TDH.VP.ENTER.RBP is for others"

# Input registers of the data that carry no operand.
NOT_LOADED: dict[tuple[Key, str], str] = {
    (("TDH.MNG.INIT", 0), "r8"): f"no event filters, {AS_LINUX}",
    (("TDG.VP.VMCALL", 0), "rcx"): "the conduit's: the mask, derived",
    (("TDG.VP.VMCALL", 0), "rbp"): "never exposed: a TD with NO_RBP_MOD must not",
}
# Operands, or fields of them, that are constants: the value and why.
CONSTANT: dict[tuple[Key, str], tuple[int, str]] = {
    (("TDH.VP.ENTER", 0), "tdvmcall_result_rbp"): (0, f"nothing to be seen there: {NO_RBP}"),
    (("TDH.MNG.INIT", 0), "event_filtering"): (0, f"no event filters, {AS_LINUX}"),
    (("TDH.MEM.PAGE.ADD", 0), "level"): (0, "has to be 0"),
    (("TDH.MEM.PAGE.RELOCATE", 0), "level"): (0, "has to be 0"),
    (("TDH.MEM.SEPT.ADD", 0), "allow_existing"): (0, f"a page where there is none, {AS_LINUX}"),
    (("TDH.PHYMEM.PAMT.ADD", 0), "level"): (1, "has to be 1"),
    (("TDH.PHYMEM.PAMT.REMOVE", 0), "level"): (1, "has to be 1"),
    (("TDH.SYS.INIT", 0), "attributes"): (0, "reserved"),
    (("TDH.SYS.INIT", 1), "attributes"): (0, "reserved"),
    (("TDH.SYS.CONFIG", 1), "reserved_zero"): (0, "reserved"),
    (("TDH.SYS.UPDATE", 1), "reserved_zero"): (0, "reserved"),
    (("TDH.DEVIF.REQUEST", 0), "reserved_zero"): (0, "reserved"),
    (("TDH.DEVIF.RESPONSE", 0), "reserved_zero"): (0, "reserved"),
    (("TDG.VM.RD", 0), "vm_handle"): (0, "has to be 0"),
    (("TDG.VM.RD", 1), "vm_handle"): (0, "has to be 0"),
    (("TDG.VM.WR", 0), "vm_handle"): (0, "has to be 0"),
    (("TDG.VP.RD", 0), "must_be_zero"): (0, "reserved"),
    (("TDG.VP.WR", 0), "must_be_zero"): (0, "reserved"),
    (("TDG.DEVIF.RD", 0), "reserved_zero"): (0, "reserved"),
    (("TDG.DEVIF.REQUEST", 0), "reserved_zero"): (0, "reserved"),
    (("TDG.DEVIF.RESPONSE", 0), "reserved_zero"): (0, "reserved"),
}
# Fields of which a parameter reaches a part only.
NARROWER: dict[tuple[Key, str], str] = {
    (("TDH.PHYMEM.PAMT.ADD", 0), "hpa_51_12"): "aligned to 2M",
    (("TDH.PHYMEM.PAMT.REMOVE", 0), "hpa_51_12"): "aligned to 2M",
    (("TDH.PHYMEM.PAGE.RDMD", 0), "level"): "there are three sizes",
}
# Registers whose fields depend on something, so that one number carries them all.
SPANNING: dict[tuple[Key, str], str] = {
    (("TDG.VP.INVVPID", 0), "rdx"): "two layouts, by the operand list",
}
# Operands with fields where the data names none: what else of the data has these fields.
FIELDS_OF = {
    **{f"cx_page_hpa_{i}": f"cx_page_hpa_flagged_{i}" for i in range(4)},
    "l1_sept_page_hpa": "sept_page_hpa_flagged_vm0",
    **{f"l2_sept_page_hpa_vm{i}": f"sept_page_hpa_flagged_vm{i}" for i in (1, 2, 3)},
    "servtd_attributes": "servtd_attributes",
    "spdm_out_hpa_array": "spdm_mt_hpa_array",
}

# Output registers of the data that are not delivered, those aside that are always 0.
NOT_DELIVERED: dict[tuple[Key, str], str] = {
    (("TDH.VP.ENTER", 0), "rbp"): NO_RBP,
    (("TDH.VP.WR", 0), "r8"): f"the previous value, {AS_LINUX}",
    (("TDH.PHYMEM.PAGE.RECLAIM", 0), "r9"): f"hint for dynamic PAMT, {AS_LINUX}",
    (("TDG.VP.VMCALL", 0), "rcx"): "the mask as it was",
    (("TDG.VP.VMCALL", 0), "rbp"): "never exposed",
}
# Fields of output registers that are not delivered, though others of the register are.
NOT_READ: dict[tuple[Key, str], str] = {
    (("TDG.VP.VEINFO.GET", 0), "ve_category"): "0 in version 0",
    (("TDH.VP.ENTER", 0), "status_upper"): "in the status",
    (("TDH.VP.ENTER.RBP", 0), "status_upper"): "in the status",
    (("TDG.VP.ENTER", 0), "status_upper"): "in the status",
}
# Registers whose fields the library hands over in one piece.
WHOLE: dict[tuple[Key, str], str] = {
    (("TDH.MNG.INIT", 0), "rcx"): AS_LINUX,
    (("TDH.MEM.PAGE.REMOVE", 0), "rcx"): f"page or Secure EPT entry, {AS_LINUX}",
    (("TDH.PHYMEM.PAGE.RECLAIM", 0), "r8"): f"0 above its field; {AS_LINUX}",
    (("TDH.PHYMEM.PAGE.RDMD", 0), "r8"): "0 above its field; as with RECLAIM",
    (("TDH.VP.ENTER", 0), "rcx"): "a register of a register file",
    (("TDH.VP.ENTER.RBP", 0), "rcx"): "a register of a register file",
    (("TDH.SYS.LP.INIT", 0), "rcx"): "fields as with TDH.SYS.INIT, where the data has them",
}
# Outputs with another condition than the data's, by the data's name without an index and the data's
# condition: that of the library, and why both say the same.
CONDITION = {
    ("ext_err1_sept_entry_arch", "on_error"): ("always", "0 on success, or what REMOVE says"),
    ("ext_err2_sept_level_state", "on_error"): ("always", "0 on success"),
    ("ext_err_cpuid_leaf_subleaf", "on_error"): ("always", "0 on success, the row that follows"),
    ("zero", "on_success"): ("always", "the row before"),
    ("removed_page_hpa", "on_success"): ("always", f"one output for both, {AS_LINUX}"),
    ("ext_err_detail", "on_error"): ("always", "0 on success, and preloaded with 0"),
    ("cpuid_leaf_subleaf", "on_error"): ("always", "0 on success"),
    ("mask_low", "on_error"): ("always", "0 on success"),
    ("mask_high", "on_error"): ("always", "0 on success"),
    ("expected_low", "on_error"): ("always", "0 on success"),
    ("expected_high", "on_error"): ("always", "0 on success"),
    ("l2_attributes", "on_success"): ("always", "preloaded with 0"),
    ("key_size_bits", "on_success"): ("always", "preloaded with 0"),
    ("interruptibility_state", "on_success"): ("always", "preloaded with 0"),
    ("l2_sept_page_hpa_flagged", "on_success"): ("always", "in and out: on error as passed"),
    ("cx_page_hpa_flagged", "on_success"): ("always", "in and out: on error as passed"),
    ("target_td_uuid", "on_error"): ("always", "in and out: on success as passed"),
    ("target_td_uuid", "always"): ("on_success", "0 on error, even if BIND did not get so far"),
}

by_case = pytest.mark.parametrize("case", cases(), ids=str)


def without_index(name: str) -> str:
    """The data's name of an array of registers, from that of an element."""
    return re.sub(r"_(vm)?\d$", "", name)


# -- which leaves there are


@pytest.mark.parametrize("stem", SOURCES)
def test_every_leaf_and_version_is_there_once(stem: str) -> None:
    assert set(plans(stem)) == {case.key for case in cases() if case.stem == stem}


def test_what_is_left_out_and_added() -> None:
    everything = {name for stem in SOURCES for name in data(stem)}
    assert len({case.key for case in cases() if case.stem != "connect_rfc"}) == 166
    assert set(LEFT_OUT) <= everything
    for name, (original, _) in ALIASES.items():
        assert name not in everything
        assert plans("host")[name, 0].documentation.alias_of == original


@by_case
def test_selectors(case: Case) -> None:
    plan, row = case.plan, case.row
    assert plan.instruction.name == row["instruction"]
    assert packed(plan, "rax", None) == row["leaf"] | case.version << 16
    selectors = {load.register for load in plan.loads if load.kind is LoadKind.SELECTOR}
    masked = {"rcx"} if plan.exposed is not None else set()
    assert selectors == {"rax"} | masked
    assert plan.version_parameter is None


# -- what goes in


@by_case
def test_operands_are_in_the_registers_of_the_data(case: Case) -> None:
    left = {register for key, register in NOT_LOADED if key == case.key}
    assert left <= set(case.inputs)
    assert operands(case.plan) == set(case.inputs) - left


@by_case
def test_parameters_fill_the_bits_that_they_stand_for(case: Case) -> None:
    plan = case.plan
    counts = {item.bound.count for item in plan.inputs if item.bound is not None}
    for item in plan.inputs:
        places = [r for r in operands(plan) if case.parameter_mask(r, item.name)]
        assert len(places) == (0 if item.name in counts else 1), f"{item.name} goes to {places}"
        if places:
            check_bits(case, places[0], item)


def check_bits(case: Case, register: str, item: Input) -> None:
    """A parameter fills a field, or with fields of its own all of them, and no other bit."""
    row, mask = case.inputs[register], case.parameter_mask(register, item.name)
    own = own_fields(item.promise)
    if own or (case.key, register) in SPANNING:
        assert means(library_names.INPUTS, item.name, row["name"]), (item.name, row["name"])
        if own:
            assert own == ranges(row.get("bits") or bits_of(FIELDS_OF[row["name"]]))
        assert mask == promised_bits(item.promise)
        return
    hit = {name: bits for name, bits in fields(row).items() if bits & mask}
    assert len(hit) == 1, f"{item.name} reaches {sorted(hit)} of {register}"
    ((name, bits),) = hit.items()
    assert means(library_names.INPUTS, item.name, name), f"{item.name} is in {name}"
    if "bits" not in row:
        assert mask == promised_bits(item.promise), f"{item.name} is shifted"
    elif (case.key, name) in NARROWER:
        assert mask & ~bits == 0 != mask ^ bits
    else:
        assert mask == bits, f"{item.name} may set {mask:#x} where {name} is {bits:#x}"


def bits_of(name: str) -> list[Row]:
    """The fields that the data has for a register of that name, anywhere."""
    rows = [row for case in cases() for row in [*case.row["inputs"], *case.row["outputs"]]]
    found: list[Row] = next(row["bits"] for row in rows if row["name"] == name and "bits" in row)
    return found


@by_case
def test_no_field_is_forgotten(case: Case) -> None:
    """A field is reached by a parameter, or is a constant that the table has."""
    plan = case.plan
    forgotten = set()
    for register in operands(plan):
        row = case.inputs[register]
        reached = [case.parameter_mask(register, item.name) for item in plan.inputs]
        free = {n: m for n, m in fields(row).items() if not any(m & mask for mask in reached)}
        forgotten |= set(free)
        values = [CONSTANT[case.key, name][0] << low_bit(mask) for name, mask in free.items()]
        assert packed(plan, register, None) == sum(values)
    assert forgotten == {name for key, name in CONSTANT if key == case.key}


def low_bit(mask: int) -> int:
    """The number of the lowest bit that is 1."""
    return (mask & -mask).bit_length() - 1


def test_exceptions_of_operands_are_needed() -> None:
    by_key = {case.key: case for case in cases() if case.stem != "connect_rfc"}
    for (key, name), _ in [*NARROWER.items(), *CONSTANT.items()]:
        assert any(name in fields(row) for row in by_key[key].inputs.values()), (key, name)
    for key, register in SPANNING:
        assert len(case_fields := fields(by_key[key].inputs[register])) > 1, case_fields
    names = {row["name"] for case in cases() for row in case.inputs.values() if "bits" not in row}
    assert set(FIELDS_OF) <= names


# -- what comes out


@by_case
def test_outputs_are_in_the_registers_of_the_data(case: Case) -> None:
    """All but those that are always 0, and RAX, whose status is returned anyway."""
    left = {register for key, register in NOT_DELIVERED if key == case.key}
    registers = {row["reg"] for row in case.outputs}
    assert left <= registers
    zero = registers - {row["reg"] for row in case.outputs if row["name"] != "zero"}
    delivered = {delivery.place.register for delivery in case.plan.deliveries}
    assert delivered - {"rax"} == registers - {"rax"} - left - zero
    in_rax = {bits["name"] for row in case.outputs if row["reg"] == "rax" for bits in bits_in(row)}
    assert ("rax" in delivered) == bool(in_rax - {"status_upper"})


def bits_in(row: Row) -> list[Row]:
    """The fields that the data has for a register; none is an empty list."""
    found: list[Row] = row.get("bits", [])
    return found


def meant(case: Case, delivery: Delivery) -> list[Row]:
    """The rows of the data that an output stands for."""
    place = delivery.place
    rows = [row for row in case.outputs if row["reg"] == place.register]
    if (place.low, place.high) == (0, 63):
        return [row for row in rows if means(library_names.OUTPUTS, delivery.name, row["name"])]
    mask = slice_mask(place.low, place.high)
    return [
        row
        for row in rows
        for name, bits in fields(row).items()
        if bits == mask and means(library_names.OUTPUTS, delivery.name, name)
    ]


@by_case
def test_outputs_are_the_fields_of_the_data(case: Case) -> None:
    plan = case.plan
    for delivery in plan.deliveries:
        place = delivery.place
        rows = meant(case, delivery)
        assert rows, f"{delivery.name} is not in {place}"
        assert delivery.type.width >= place.width
    for row in case.outputs:
        of_row = [delivery for delivery in plan.deliveries if row in meant(case, delivery)]
        if not of_row:
            assert row["name"] == "zero" or row["reg"] in {"rax"} | undelivered(case), row
            continue
        places = {(delivery.place.low, delivery.place.high) for delivery in of_row}
        assert len(places) == len(of_row)
        if places == {(0, 63)}:
            same = own_fields(of_row[0].type) == ranges(bits_in(row))
            assert same or (case.key, row["reg"]) in WHOLE, f"{of_row[0].name} has other fields"
        else:
            left = [bits for bits in bits_in(row) if (case.key, bits["name"]) in NOT_READ]
            assert places == ranges(bits_in(row)) - ranges(left)


def undelivered(case: Case) -> set[str]:
    """Registers that the table says are not delivered."""
    return {register for key, register in NOT_DELIVERED if key == case.key}


def condition(delivery: Delivery) -> str:
    """When an output counts, as the data puts it; what is excepted is left aside."""
    if delivery.test is None:
        return "always"
    word = delivery.test.text.split()[0]
    return f"on_{word}"


@by_case
def test_outputs_count_when_the_data_says_so(case: Case) -> None:
    for delivery in case.plan.deliveries:
        for row in meant(case, delivery):
            if condition(delivery) != row["when"]:
                other, _ = CONDITION[without_index(row["name"]), row["when"]]
                assert condition(delivery) == other, delivery.name


@by_case
def test_only_interruptions_are_excepted(case: Case) -> None:
    """Where a call is interrupted, its output registers are operands for the next one."""
    for delivery in case.plan.deliveries:
        if delivery.test is not None and " except " in delivery.test.text:
            _, text = delivery.test.text.split(" except ")
            statuses = set(re.findall(r"TDX_\w+", text))
            listed = set(re.findall(r"TDX_INTERRUPTED_\w+", " ".join(case.row["retry_status"])))
            assert statuses == listed


@by_case
def test_what_no_operand_loads_is_preset_before_delivery(case: Case) -> None:
    """Nothing of the caller's own is stored if the module leaves the register alone.

    It does not where the data says that each success writes it.
    """
    plan = case.plan
    for delivery in plan.deliveries:
        register = delivery.place.register
        load = plan.load(register)
        if register == "rax" or (load is not None and load.kind is LoadKind.OPERAND):
            continue
        rows = meant(case, delivery)
        if load is None and condition(delivery) == "on_success":
            notes = [row.get("note", "") for row in rows]
            assert not any(re.search("unmodified|otherwise|depends|as R", note) for note in notes)
            continue
        null = any("NULL_PA" in row.get("note", "") for row in rows)
        assert load is not None, f"{delivery.name} in {register}"
        assert packed(plan, register, None) == (2**64 - 1 if null else 0), delivery.name


def test_exceptions_of_outputs_are_needed() -> None:
    deviations = set()
    whole = set()
    for case in cases():
        for delivery in case.plan.deliveries:
            for row in meant(case, delivery):
                if condition(delivery) != row["when"]:
                    deviations.add((without_index(row["name"]), row["when"]))
                is_whole = (delivery.place.low, delivery.place.high) == (0, 63)
                if is_whole and own_fields(delivery.type) != ranges(bits_in(row)):
                    whole.add((case.key, row["reg"]))
    assert deviations == set(CONDITION)
    assert whole == set(WHOLE)


# -- what does not survive

# Registers that are destroyed beyond what the data's outputs and the conduit say.
DESTROYED = {
    ("TDG.VP.ENTER", 0): ({"rbp"}, "the data's clobbers have it: it is left as the L2 VM had it"),
}


@by_case
def test_destroyed_registers(case: Case) -> None:
    plan = case.plan
    extra, _ = DESTROYED.get(case.key, (set(), ""))
    returned = {row["reg"] for row in case.outputs}
    if plan.exposed is not None:
        assert plan.destroyed == {"rax", "rcx"} | returned - {"rbp"}
        return
    scratch = {"rax", "rcx", "rdx", "r8", "r9", "r10", "r11"}
    assert plan.destroyed == scratch | returned | extra


@pytest.mark.parametrize("case", [c for c in cases() if c.stem in ("host", "connect_rfc")], ids=str)
def test_the_preserving_conduit_keeps_what_the_leaf_does_not_return(case: Case) -> None:
    careful = case.plan
    trusting = plans(case.stem, "seamcall_preserving")[case.key]
    assert trusting.destroyed == {"rax", "rcx", "rdx"} | {row["reg"] for row in case.outputs}
    assert packed(trusting, "rax", None) == packed(careful, "rax", None)


# -- the tables of names


def test_every_name_is_used() -> None:
    """The table has no name that the library or the data has no more."""
    used = set()
    for case in cases():
        for register in operands(case.plan):
            row = case.inputs[register]
            names = {row["name"], *fields(row)}
            for item in case.plan.inputs:
                if case.parameter_mask(register, item.name):
                    used |= {("in", item.name, n) for n in names}
        for delivery in case.plan.deliveries:
            rows = meant(case, delivery)
            names = {n for row in rows for n in (row["name"], *fields(row))}
            used |= {("out", delivery.name, n) for n in names}
    for way, table in (("in", library_names.INPUTS), ("out", library_names.OUTPUTS)):
        for stem, names_of in table.items():
            for pattern in names_of.split():
                assert any(
                    way == direction
                    and stem in (name, re.split(r"[\[.]", name)[0])
                    and means({stem: pattern}, name, data_name)
                    for direction, name, data_name in used
                ), f"{stem}: {pattern}"
