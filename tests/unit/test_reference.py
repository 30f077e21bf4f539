"""The page of `--emit docs`: its links, its tables, and what it says of each construct."""

from __future__ import annotations

import re

import pytest
from golden_cases import case_names, compile_case

import seamir
from seamir.emit.text import markdown

LINK = re.compile(r"\]\(#([^)\s]+)\)")
HEADING = re.compile(r"(?m)^#+ (.+)$")
IMPORTS = 'import "tdx/types.seam";\nimport "tdx/conduits.seam";\n'
STRANGE = r"<b> | a\|b `x` [a](http://x.org) _y_ $z$ {{s}}"
SHOWN = r"\<b\> \| a\\\|b `x` \[a\](`http://x.org`) \_y\_ `$z$` \{\{s\}\}"


def page_of(text: str) -> str:
    """The reference of a description."""
    return seamir.compile(seamir.load_text(text), emit=("docs",)).outputs["docs"].text


def anchors_of(page: str) -> list[str]:
    """The anchors of a page's headings, by GitHub's rule, written apart from the one tested."""
    found: list[str] = []
    for title in HEADING.findall(page):
        text = "".join(c for c in title.lower() if c.isalnum() or c in "_- ").replace(" ", "-")
        same = sum(re.fullmatch(rf"{re.escape(text)}(-\d+)?", other) is not None for other in found)
        found.append(f"{text}-{same}" if same else text)
    return found


def section(page: str, symbol: str) -> str:
    """The section of a function."""
    return page.split(f"\n## `{symbol}`")[1].split("\n## ", maxsplit=1)[0]


def rows(text: str, title: str) -> list[list[str]]:
    """The cells of the table below a title, heads first."""
    lines = text.split(f"**{title}**\n\n")[1].split("\n\n", maxsplit=1)[0].splitlines()
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if not line.startswith("|--")]
    return [[cell.strip() for cell in row] for row in cells]


@pytest.mark.parametrize("name", case_names())
def test_every_link_resolves(name: str) -> None:
    page = compile_case(name).outputs["docs"].text
    anchors = anchors_of(page)
    assert len(set(anchors)) == len(anchors)
    links = LINK.findall(page)
    assert links
    assert set(links) <= set(anchors)


@pytest.mark.parametrize("name", case_names())
def test_every_table_is_whole(name: str) -> None:
    page = compile_case(name).outputs["docs"].text
    for block in page.split("\n\n"):
        lines = block.splitlines()
        if not lines[0].startswith("|"):
            continue
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(counts) == 1, block
        assert re.fullmatch(r"\|(---\|)+", lines[1])


@pytest.mark.parametrize("name", case_names())
def test_every_function_and_operand_is_there(name: str) -> None:
    made = compile_case(name)
    page = made.outputs["docs"].text
    for plan in made.plans:
        text = section(page, plan.symbol)
        shown = registers_shown(text)
        for load in plan.loads:
            assert load.register in shown, load.register
        for delivery in plan.deliveries:
            assert delivery.place.register in shown
            assert re.search(rf"(?m)^\| [^|]* \| `{delivery.group}` \|", text)
        if plan.again:
            assert f"At most {plan.bound} attempts" in text
        for clause in plan.again:
            assert re.search(rf"(?m)^  - `{re.escape(clause.text.rstrip(' {;'))}", text)
        for note in plan.documentation.notes:
            assert markdown(note)[1:] in text


def registers_shown(text: str) -> set[str]:
    """The registers in the first cells of tables, lists and ranges written out."""
    found: set[str] = set()
    for cell in re.findall(r"(?m)^\| `([^`]*)`", text):
        for word in cell.split(", "):
            first, _, last = word.partition("..")
            found.add(first.partition("[")[0])
            if last:
                found |= {f"r{number}" for number in range(int(first[1:]), int(last[1:]) + 1)}
    return found


def test_names_that_differ_in_case_only() -> None:
    leaves = "leaf A.B = 500 via seamcall ();\n"
    wrappers = "wrapper f_x = A.B;\nwrapper F_X = A.B;\n"
    page = page_of(IMPORTS + leaves + wrappers)
    assert "(#f_x-ab)" in page
    assert "(#f_x-ab-1)" in page
    assert set(LINK.findall(page)) <= set(anchors_of(page))


def test_text_of_a_description_is_only_shown() -> None:
    page = page_of(
        IMPORTS
        + f"""
        /// {STRANGE}
        type odd = u64;
        /// {STRANGE} Then more: {STRANGE}
        ///
        /// - # {STRANGE}
        ///
        /// # {STRANGE}
        leaf A.B = 500 via seamcall (
            /// {STRANGE}
            a: odd,
        ) -> (
            /// {STRANGE}
            r: u64 = rcx
        ) {{
            rcx = a since "{STRANGE}";
            note "{STRANGE}";
            since "{STRANGE}";
            deprecated "{STRANGE}";
        }}
        """
    )
    own = section(page, "a_b")
    assert own.count(SHOWN) == 10
    bare = re.sub(r"`[^`\n]+`|\\.", "", page)
    assert not re.search(r"<|\{\{|_y_|http|\$", bare)
    assert re.search(r"(?m)^- \\# ", own)
    assert re.search(r"(?m)^\\# ", own)


def test_the_name_of_the_file_is_only_shown() -> None:
    text = IMPORTS + "leaf A.B = 500 via seamcall ();"
    made = seamir.compile(seamir.load_text(text, "<b>_`x|.seam"), emit=("docs",))
    assert made.outputs["docs"].text.startswith("# Leaves of ``<b>_`x|.seam``\n")


def test_operands_and_what_is_said_of_them() -> None:
    page = page_of(
        IMPORTS
        + """
        leaf A.B = 500 version 2 via seamcall (
            /// the TD
            tdr: hpa, gpa: gpa, level: sept_level,
            /// the first
            x: u32,
            /// the second
            y: u32,
        ) -> (n: u64 = r9 else 5) {
            rcx = gpa | level;
            /// of the operand
            rdx = tdr since "1.5.05";
            r8 = x + y;
        }
        """
    )
    assert rows(section(page, "a_b_v2"), "Operands") == [
        ["Register", "Value", "Type", "Since", "Meaning"],
        ["`rax[23:16]`", "`2`, the version", "", "", ""],
        ["`rax[15:0]`", "`0x1f4`, the leaf", "", "", ""],
        ["`rcx[51:12]`", "`gpa`", "`gpa`, bits 51:12", "",
         "Guest-physical address of a 4K page"],
        ["`rcx[2:0]`", "`level`", "`sept_level`, 0 to 4", "",
         "Level of a Secure EPT entry: 0 = 4K, 1 = 2M, 2 = 1G, 3 = 512G, 4 = 256T"],
        ["`rdx`", "`tdr`", "`hpa`, bits 51:12", "1.5.05", "of the operand"],
        ["`r8`", "`x + y`", "`x` `u32`; `y` `u32`", "", "x: the first; y: the second"],
        ["`r9`", "`5`, before each attempt", "", "", ""],
    ]  # fmt: skip


def test_outputs_and_when_they_count() -> None:
    page = page_of(
        IMPORTS
        + """
        leaf A.B = 500 via seamcall (list: u64) -> (
            list = rcx,
            /// the page
            page: hpa = rdx on success,
            busy: bool = r8[3] on TDX_OPERAND_BUSY(*) optional,
            n: u16 = r9[31:16] else 0x50000,
        ) { rcx = list; keep busy; }
        """
    )
    untouched = "untouched if the call did not complete"
    assert rows(section(page, "a_b"), "Outputs") == [
        ["Register", "Output", "Type", "When", "Else", "Stored in", "Meaning"],
        ["`rcx`", "`list`", "`u64`", "", untouched, "`*list`", ""],
        ["`rdx`", "`page`", "`hpa`", "`on success`", "0", "`*page`", "the page"],
        ["`r8[3]`", "`busy`", "`bool`", "`on TDX_OPERAND_BUSY(*)`", f"0; {untouched}",
         "`*busy`, which may be NULL", ""],
        ["`r9[31:16]`", "`n`", "`u16`", "", "5 if the other side leaves it unwritten", "`*n`", ""],
    ]  # fmt: skip


def test_a_parameter_of_a_resumption_only() -> None:
    text = section(compile_case("resume").outputs["docs"].text, "resume_nested")
    assert ["`r11[47:32]`", "`stream`, on resumption", "`stream`, 0 to 511"] in rows(
        text, "Operands"
    )


def test_other_functions_of_a_leaf_are_linked() -> None:
    page = page_of(
        IMPORTS
        + """
        /// Old words.
        leaf A.B = 500 via seamcall ();
        /// New words.
        leaf A.B = 500 version 1 via seamcall ();
        """
    )
    assert "  - [`a_b_v1`](#a_b_v1-ab), version 1: New words.\n" in section(page, "a_b")
    assert "  - [`a_b`](#a_b-ab), version 0: Old words.\n" in section(page, "a_b_v1")


def test_not_all_functions_of_a_leaf_are_listed_again() -> None:
    wrappers = "".join(f"wrapper f{number} = A.B;\n" for number in range(30))
    page = page_of(IMPORTS + "leaf A.B = 500 via seamcall ();\n" + wrappers)
    for symbol in ("f0", "f29"):
        others = re.findall(r"(?m)^  - (?:\[`(f\d+)`|(and .* more))", section(page, symbol))
        assert len(others) == 21
        assert others[-1] == ("", "and 9 more")
        assert (symbol, "") not in others


def test_statuses_it_names() -> None:
    page = page_of(
        IMPORTS
        + """
        /// May return TDX_SYS_NOT_READY, and no NOT_A_STATUS.
        leaf A.B = 500 via seamcall (level: sept_level) -> (r: u64 = rcx on TDX_OPERAND_BUSY(TDR)) {
            rcx = level;
            check level else TDX_OPERAND_INVALID(RCX);
            retry 3 on TDX_RND_NO_ENTROPY;
            on carry trap;
        }
        """
    )
    (line,) = re.findall(r"- Statuses it names: (.*)\.\n", page)
    assert re.findall(r"\[`(\w+)`\]\(#(\S+)\)", line) == [
        ("TDX_RND_NO_ENTROPY", "statuses-tdx_status"),
        ("TDX_OPERAND_BUSY", "statuses-tdx_status"),
        ("TDX_OPERAND_INVALID", "statuses-tdx_status"),
        ("TDX_SW_ERROR", "statuses-tdx_sw"),
        ("TDX_SYS_NOT_READY", "statuses-tdx_status"),
    ]


def test_what_success_is() -> None:
    page = compile_case("statuses").outputs["docs"].text
    said = re.findall(r"(?m)^- Status in .*; (.*)\.$", page)
    either = "success is `rax[63:62] == 0` or `DONE_ALREADY(*)`"
    low = "success is `rcx[31:0] == 0`"
    assert said == [either, either, either, low, "nothing says what success is"]


def test_the_families_at_the_end() -> None:
    page = compile_case("statuses").outputs["docs"].text
    modern = page.split("## Statuses `modern`")[1].split("\n## ")[0]
    assert "- Detail in bits 31:8, of [`part`](#operand-ids-part).\n" in modern
    assert "- Not compared: bit 60.\n" in modern
    values = "`0x6000000200000000`, `0x4000000200000000`"
    assert f"| `LOST` | {values} | the second value is what old versions return |" in modern
    operands = page.split("## Operand ids `part`")[1]
    assert "| `BOTH` | `0x1`, `0x2` |" in operands


def test_the_target_counts() -> None:
    text = IMPORTS + "leaf A.B = 500 via seamcall () { noinstr; }"
    program = seamir.load_text(text)
    kernel = seamir.compile(program, emit=("docs",)).outputs["docs"].text
    assert "- The code is in .noinstr.text.\n" in kernel
    made = seamir.compile(program, emit=("docs",), features=("-fixup",))
    assert "An exception at the instruction is not caught." in made.outputs["docs"].text


# -- what takes several registers


SEVERAL = """
import "tdx/types.seam";
import "tdx/conduits.seam";
import "tdx/status.seam";

/// Registers of a call.
layout registers extern {
    rdx @0; r8 @8; rsi @24;
    /// the last
    r12 @16 as twelve;
}
conduit call {
    instruction tdcall "66 0f 01 cc";
    rax = leaf;
    rcx = exposed;
    status r10;
    clobbers memory;
    on refused rax in tdx_status != TDX_SUCCESS return refusal;
}
conduit quiet { instruction tdcall "66 0f 01 cc"; rax = leaf; status none; }
conduit closed extends seamcall { scrub; }

leaf A.ARRAYS = 1 via closed (
    /// pages to move
    pages: hpa[2],
    pamt: hpa_or_null[n <= 3],
) -> (
    /// what became of each
    entries: u64[3] = {r8, r9, r10} on success else 0,
    pages = {rdx, r11},
) {
    {rdx, r11} = pages;
    r12..r14 = pamt else NULL_PA;
    check n else TDX_OPERAND_INVALID(R12);
}
leaf A.LAYOUT = 2 via call (
    /// all of them
    registers: registers,
) -> (registers = {rdx, r12}, last: u64 = r15) { {rdx, r8, rsi, r12} = registers; }
leaf A.VERSIONS = 5 version v via seamcall (v: u8, a: u64) { rcx = a; }
leaf A.ALIAS = 5 version v via seamcall (v: u8, a: u64) { rdx = a; alias of A.VERSIONS; }
leaf A.QUIET = 7 via quiet (a: u64) -> (x: u32 = r8) { rcx = a; deliver register; }
leaf A.SILENT = 8 via quiet () { clobbers r9; }
"""


@pytest.fixture(scope="module")
def several() -> str:
    """The reference of SEVERAL, every link of which resolves."""
    page = page_of(SEVERAL)
    assert set(LINK.findall(page)) <= set(anchors_of(page))
    return page


def test_an_array_is_a_row(several: str) -> None:
    text = section(several, "a_arrays")
    bounded = "`pamt[0]` to `[2]`; `0xffffffffffffffff` from `[n]` on"
    doc = "Address of a page, or `NULL_PA` for none"
    assert rows(text, "Operands")[3:] == [
        ["`rdx, r11`", "`pages[0]` to `[1]`", "`hpa[2]`, bits 51:12", "pages to move"],
        ["`r8..r10`", "`0`, before each attempt", "", ""],
        ["`r12..r14`", bounded,
         "`hpa_or_null[n <= 3]`, bits 51:12 or 0xffffffffffffffff", doc],
    ]  # fmt: skip
    untouched = "untouched if the call did not complete"
    assert rows(text, "Outputs")[1:] == [
        ["`r8..r10`", "`entries`", "`u64[3]`", "`on success`", "0", "`entries[0]` to `[2]`",
         "what became of each"],
        ["`rdx, r11`", "`pages`", "`hpa[2]`", "", untouched, "`pages[0]` to `[1]`", ""],
    ]  # fmt: skip


def test_a_layout_is_a_row(several: str) -> None:
    text = section(several, "a_layout")
    assert rows(text, "Operands")[1:] == [
        ["`rax`", "`2`, the leaf", "", ""],
        ["`rcx`", "`0x9544`, the exposure mask", "", ""],
        ["`rdx, r8, r12, rsi`", "`registers`, each from its member", "`registers`", "all of them"],
        ["`r10, r15`", "`0`, for the other side sees it", "", ""],
    ]
    untouched = "untouched if the call did not complete"
    assert rows(text, "Outputs")[1:] == [
        ["`rdx, r12`", "`registers`", "`registers`", untouched, "members of `registers`"],
        ["`r15`", "`last`", "`u64`", "", "`*last`"],
    ]


def test_the_layouts_at_the_end(several: str) -> None:
    table = several.split("## Layouts\n\n")[1].split("\n\n", maxsplit=1)[0].splitlines()
    head = "`registers` | `struct registers` | | defined elsewhere | Registers of a call. |"
    assert table[2] == f"| {head}"
    assert table[3:] == [
        "| `registers` `rdx` | | `rdx` | 0 | |",
        "| `registers` `r8` | | `r8` | 8 | |",
        "| `registers` `twelve` | | `r12` | 16 | the last |",
        "| `registers` `rsi` | | `rsi` | 24 | |",
    ]


def test_a_call_that_is_refused_or_closed(several: str) -> None:
    text = section(several, "a_layout")
    refused = "If `rax` is not `TDX_SUCCESS` (the other side was not reached)"
    assert f"- {refused}: returns `rax`.\n" in text
    assert "[`TDX_SUCCESS`](#statuses-tdx_status)" in text
    seen = "`rdx`, `r8`, `r10`, `r12`, `r15`, `rsi`"
    assert f"- The other side sees {seen} and no other register.\n" in text
    closed = "- At return no register but those returned has a value of the other side.\n"
    assert closed in section(several, "a_arrays")
    assert closed not in text


def test_a_version_that_is_a_parameter(several: str) -> None:
    assert "| [`A.VERSIONS`](#a_versions-aversions) | `v` | 5 | `a_versions` |" in several
    assert "; leaf 5, version `v`.\n" in section(several, "a_versions")
    same = "- The same leaf as [`A.VERSIONS`](#a_versions-aversions), with other operands.\n"
    assert same in section(several, "a_alias")


def test_a_call_without_status(several: str) -> None:
    text = section(several, "a_quiet")
    assert "u32 a_quiet(u64 a);" in text
    assert rows(text, "Outputs")[1:] == [["`r8`", "`x`", "`u32`", "return value"]]
    assert "- No status.\n- The instruction changes `r8`.\n" in text
    assert "- No status.\n- The instruction changes `r9`.\n" in section(several, "a_silent")
    assert "- No status.\n" in several.split("## Conduit `quiet`")[1]
