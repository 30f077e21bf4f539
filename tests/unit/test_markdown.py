"""Text of strangers as Markdown, and the parts of a page: it shows what it is and does nothing."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamir.emit.markdown import Headings, bullets, table
from seamir.emit.text import code_span, markdown, plain

# At some place of a line: an escaped character, or a span of code.
ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
AUTOLINK = re.compile(r"://|www\.|@|\$|mailto:|xmpp:", re.IGNORECASE)


def read(line: str) -> tuple[str, str]:
    """What a reader of Markdown sees, and what of the line is neither code nor escaped."""
    seen = bare = ""
    place = 0
    while place < len(line):
        escaped, span = ESCAPED.match(line, place), SPAN.match(line, place)
        found = escaped or span
        if span:
            padded = re.fullmatch(r" (.*[^ ].*) ", span[2])
            seen += padded[1] if padded else span[2]
        else:
            seen += escaped[1] if escaped else line[place]
        bare += " " if found else line[place]
        place = found.end() if found else place + 1
    return seen, bare


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("the TD", "the TD"),
        ("rcx = gpa | level", r"`rcx` = gpa \| level"),
        ("else TDX_OPERAND_INVALID(RCX), or not", "else `TDX_OPERAND_INVALID(RCX)`, or not"),
        ("TDX_OPERAND_BUSY(*).", "`TDX_OPERAND_BUSY(*)`."),
        ("bits r10[63:12] are 0", "bits `r10[63:12]` are 0"),
        ("f(x) and f(*)", r"f(x) and f(\*)"),
        ("<script>x</script> &lt;", r"\<script\>x\</script\> \&lt;"),
        ("[click](x) ![see](y) [^1]", r"\[click\](x) !\[see\](y) \[^1\]"),
        ("see https://x.org/a_b?c=d.", "see `https://x.org/a_b?c=d`."),
        ("(www.x.org) me@x.org", "(`www.x.org`) `me@x.org`"),
        ("www.'x.org", "`www.`'x.org"),
        ("$E = mc^2$", "`$E` = `mc^2$`"),
        ("`code` ``", r"`code` \`\`"),
        ("(`a | b`, `*`): `x_y`.", "(`a | b`, `*`): `x_y`."),
        ("`TDX_BUSY(*)` x_y `r8`", "`TDX_BUSY(*)` `x_y` `r8`"),
        ("a`b` `c`d `e_f`g_h `i``j`", r"a\`b\` \`c\`d \``e_f`\``g_h` \`i\`\`j\`"),
        ("`a\\` ` b` `c ` `", r"\`a\\\` \` b\` \`c \` \`"),
        ("_a_ a_b __c__ *d* ~~e~~", r"\_a\_ `a_b` `__c__` \*d\* \~\~e\~\~"),
        ("a\\|b", r"a\\\|b"),
        ("{{ site }} {% x %}", r"\{\{ site \}\} \{% x %\}"),
        ("# no heading", r"\# no heading"),
        ("- no item", r"\- no item"),
        ("--- no rule", r"\--- no rule"),
        ("=== no heading", r"\=== no heading"),
        ("1. no item", r"1\. no item"),
        ("12) no item", r"12\) no item"),
        ("1.5.05", "1.5.05"),
        ("> no quotation", r"\> no quotation"),
        ("\u202ea\nb\x1b[0m", r"?a b?\[0m"),
        ("a|b`c_d`e_f", r"a\|b\``c_d`\``e_f`"),
        ("r10[63]r11[2]x_y", r"`r10`\[63\]`r11`\[2\]`x_y`"),
        ("", ""),
    ],
)
def test_text_is_shown_and_nothing_else(text: str, made: str) -> None:
    assert markdown(text) == made


@given(st.text(st.sampled_from("`\\|<>&[]()*_#-+=1.:/@$wx{}~! \tr8\n\u202e"), max_size=40))
def test_any_text_is_shown_and_nothing_else(text: str) -> None:
    line = markdown(text)
    seen, bare = read(line)
    assert seen.replace("`", "") == plain(text).replace("`", "")  # those around code make it code
    assert not re.search(r"[\\`*\[\]<>|~&{}]", bare)
    assert not re.search(r"(?<![^\W_])_|_(?![^\W_])", bare)
    assert not AUTOLINK.search(bare)
    assert not re.match(r"[#+=-]|\d+[.)](\s|$)", line)
    assert line.isprintable()


@given(st.text(st.sampled_from("`\\|<>&[]*_a \n\u202e"), max_size=30))
def test_any_code_is_one_span(text: str) -> None:
    line = code_span(text)
    seen, bare = read(line)
    assert seen == plain(text)
    assert not re.search(r"[\\`*\[\]<>|~&{}]", bare)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("a | b", "`a | b`"),
        ("a`b", "``a`b``"),
        ("`a``", "``` `a`` ```"),
        ("a\\|b", r"a\\\|b"),
        ("", ""),
    ],
)
def test_code(text: str, made: str) -> None:
    assert code_span(text) == made


def test_words_that_lead_somewhere() -> None:
    links = {"TDH.MEM.TRACK": "track", "X": "x"}
    line = markdown("After TDH.MEM.TRACK; TDH.MEM.TRACKS, (X) x: X, `X` `x`.", links)
    assert line == (
        "After [`TDH.MEM.TRACK`](#track); TDH.MEM.TRACKS, ([`X`](#x)) x: [`X`](#x), [`X`](#x) `x`."
    )


@pytest.mark.parametrize("word", ["_", "a_", "a[1", "f(", "`", ".,", "1", "x_y(z)", "www."])
def test_a_long_word_takes_no_long_time(word: str) -> None:
    start = time.process_time()
    markdown(word * (60_000 // len(word)))
    assert time.process_time() - start < 2


# -- parts of a page


def test_a_table() -> None:
    rows = [("`a | b`", "", r"c \| d"), ("`x`", "", "")]
    assert table(("One", "Empty", "Three"), rows) == [
        "| One | Three |",
        "|---|---|",
        r"| `a \| b` | c \| d |",
        "| `x` | |",
    ]
    assert table(("One",), []) == []


@given(st.lists(st.text(st.sampled_from("a|\\` "), max_size=12), min_size=3, max_size=3))
def test_a_row_has_as_many_cells_as_the_table(texts: list[str]) -> None:
    for made in ([markdown(text) for text in texts], [code_span(text) for text in texts]):
        head = table(("A", "B", "C"), [("x", "x", "x"), made])
        cells = re.sub(r"\\.", "", head[-1]).count("|") - 1
        assert cells == 3


def test_a_list_in_a_list() -> None:
    assert bullets(["a", "b", ["c", "d"], "e"]) == ["- a", "- b", "  - c", "  - d", "- e"]


def test_anchors_are_those_of_github() -> None:
    titles = ["f_x: TDH.F.X", "F_X: TDH.F.X", "Statuses tdx_status", "Leaves of a/b.seam"]
    headings = Headings((title, title) for title in titles)
    assert [headings.anchor(title) for title in titles] == [
        "f_x-tdhfx",
        "f_x-tdhfx-1",
        "statuses-tdx_status",
        "leaves-of-abseam",
    ]
    assert headings.link(titles[0], "f_x") == "[`f_x`](#f_x-tdhfx)"
