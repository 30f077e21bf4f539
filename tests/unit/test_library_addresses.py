"""Addresses that the shipped leaves take: whose they are, and aligned as the data says."""

from __future__ import annotations

import re

from library import Case, Row, cases, fields, operands, own_fields, promised_bits

from seamir.ir.leaf import Input

# Alignments that the data does not have, in bytes, and where they are from.
ALIGNMENT: dict[tuple[str, str], tuple[int, str]] = {
    ("TDH.MEM.WR", "gpa"): (8, "as with TDH.MEM.RD"),
    ("TDH.SYS.INFO", "tdsysinfo_buf_hpa"): (1024, "the size of the structure"),
    ("TDH.SYS.INFO", "cmr_info_buf_hpa"): (512, "an array of CMR_INFO is aligned so"),
    ("TDG.MEM.PAGE.ATTR.RD", "gpa"): (4096, "of a page"),
    ("TDG.SYS.RDALL", "metadata_list_gpa"): (4096, "a page, as with TDH.SYS.RDALL"),
    **{
        (leaf, name): (4096, "a list that fills a page")
        for leaf in ("TDH.EXPORT.MEM", "TDH.IMPORT.MEM")
        for name in "mig_buff_list_hpa mac_list0_hpa mac_list1_hpa l2_attr_list_hpa".split()
    },
    ("TDH.MEM.SCAN.RANGE", "range_start_gpa"): (4096, "of a page"),
    ("TDH.SYS.TDMR.INIT", "tdmr_base_hpa"): (4096, "1G, of which a page is enough here"),
    ("TDH.MMIO.MAP", "mmio_hpa"): (4096, "mapped in pages"),
    ("TDH.IOMMU.SETUP", "iommu_mt_root_hpa"): (4096, "the page of a list"),
    ("TDH.IOMMU.CLEAR", "iommu_mt_root_hpa"): (4096, "the page of a list"),
}
ADDRESS = re.compile(r"(?:^|_)(hpa|gpa)(_51_\d+|_or_0|_vm\d|_\d|_with_hkid)?$")


def addresses() -> list[tuple[Case, Input, str, Row]]:
    """The parameters that are addresses by the data, with the data's name of the bits."""
    found = []
    for case in cases():
        for register in operands(case.plan):
            row = case.inputs[register]
            for item in case.plan.inputs:
                mask = case.parameter_mask(register, item.name)
                if mask and not own_fields(item.promise):
                    names = [name for name, bits in fields(row).items() if bits & mask]
                    if len(names) == 1 and ADDRESS.search(names[0]):
                        found.append((case, item, names[0], row))
    return found


def test_addresses_are_of_their_kind() -> None:
    found = addresses()
    assert len(found) > 150
    for case, item, name, _ in found:
        match = ADDRESS.search(name)
        assert match is not None
        assert item.promise.c_name == f"{match[1]}_t", f"{case}: {item.name} is {name}"


def test_addresses_are_aligned_as_the_data_says() -> None:
    """Promises of alignment come from a note, from a page or from the table."""
    needed = set()
    for case, item, name, row in addresses():
        if "bits" in row:
            continue
        promised = promised_bits(item.promise)
        aligned = promised & -promised
        note = re.search(r"(\d+)(?:B|-byte)[- ]aligned", row.get("note", ""))
        is_page = re.search(r"page|tdr|tdvpr", name) or "4K" in row.get("note", "")
        if note:
            assert aligned == int(note[1]), f"{case}: {item.name}"
        elif is_page:
            assert aligned == 4096, f"{case}: {item.name}"
        elif aligned != 1:
            needed.add((case.name, name))
            assert aligned == ALIGNMENT[case.name, name][0], f"{case}: {item.name}"
    assert needed == set(ALIGNMENT)
