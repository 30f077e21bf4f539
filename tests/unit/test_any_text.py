"""Whatever a description says, loading and checking it raises nothing but SeamError.

Descriptions are made of the words of the language in any order, of the shipped library with words
lost, doubled, moved or changed, and of clauses that are fine by themselves and may not be together.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import seamir
from seamir.diagnostics import render

LIBRARY = Path(seamir.__file__).parent / "leaves"
NAMES = ("tdx/types.seam", "tdx/conduits.seam", "tdx/status.seam", "tdx/host.seam")

WORDS = (
    "import type const bits operands statuses conduit leaf wrapper in as detail of ignore success "
    "extends instruction status clobbers preserves on carry fault return trap call memory simd "
    "version via except or error else optional effect global since requires deprecated note retry "
    "resume check deliver pointers struct register keep allow noinstr noreturn trapnr "
    "rax rcx rdx rbp rsp rip eax r8 r9 r15 u8 u64 s32 bool ptr hpa gpa seamcall tdcall tdx_status "
    "TDX_SUCCESS TDX_OPERAND_BUSY TDR a b A.B TDH.MEM.PAGE.ADD int __x #UD #XX "
    "0 1 9 63 64 0xffffffffffffffff 18446744073709551616 0x 1ULL "
    "; ; ; , : = == ( ) { } [ ] [7:0] [63:64] | + - << >> * .. . -> & %"
).split()
STRINGS = ('"tdx/types.seam"', '"tdx/conduits.seam"', '"66 0f 01 cf"', '"../x.seam"', '""', '"')
OTHERS = ("// a\n", "/// a\n", "\n", "\t", "\u00e9", "\u202e", "\0", "\r")
TOKEN = re.compile(r'///?[^\n]*|"[^"\n]*"|[A-Za-z0-9_.]+|\s+|.', re.DOTALL)

quietly = settings(max_examples=200, derandomize=True, database=None, deadline=None)
words = st.sampled_from((*WORDS, *STRINGS, *OTHERS))


@cache
def library_items() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The items of the library's files, each with the imports that it needs."""
    items: list[tuple[str, tuple[str, ...]]] = []
    for name in NAMES:
        text = (LIBRARY / name).read_text(encoding="utf-8")
        imports = "".join(re.findall(r"^import [^\n]*\n", text, re.MULTILINE))
        rest = re.sub(r"^import [^\n]*\n", "", text, flags=re.MULTILINE)
        for item in re.split(r"\n\n+(?=\S)", rest):
            if re.search(r"^[a-z]", item, re.MULTILINE):
                items.append((imports, tuple(TOKEN.findall(item + "\n"))))
    return tuple(items)


def kind_of(token: str) -> str:
    """What a token can be replaced by without an error of syntax."""
    if re.fullmatch(r"r[0-9a-d][0-9x]?|r[sdb][ip]", token):
        return "register"
    if token[:1].isalpha():
        return "dotted" if "." in token else "word" if token in WORDS else "name"
    return "number" if token[:1].isdigit() else token[:1]


@cache
def library_tokens() -> dict[str, tuple[str, ...]]:
    """The tokens of the library by kind."""
    tokens = {token for _, item in library_items() for token in item}
    kinds: dict[str, list[str]] = {}
    for token in sorted(tokens):
        kinds.setdefault(kind_of(token), []).append(token)
    return {kind: tuple(members) for kind, members in kinds.items()}


@st.composite
def soups(draw: st.DrawFn) -> str:
    """Words in any order."""
    return draw(st.sampled_from([" ", "\n", ""])).join(draw(st.lists(words, max_size=60)))


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """Some items of the library with a few of their words lost, doubled, moved or changed."""
    chosen = draw(st.lists(st.sampled_from(library_items()), min_size=1, max_size=3))
    tokens = [token for _, item in chosen for token in item]
    shown = [index for index, token in enumerate(tokens) if not token.isspace()]
    for _ in range(draw(st.integers(0, 4))):
        place, other = draw(st.sampled_from(shown)), draw(st.sampled_from(shown))
        kind = draw(st.integers(0, 12))
        if kind > 4 and tokens[place]:
            tokens[place] = draw(st.sampled_from(library_tokens()[kind_of(tokens[place])]))
        elif kind == 0:
            tokens[place] = ""
        elif kind == 1:
            tokens[place] += f" {tokens[other]}"
        elif kind == 2:
            tokens[place], tokens[other] = tokens[other], tokens[place]
        elif kind == 3:
            tokens[place] = f" {draw(words)} "
        elif kind == 4:
            tokens[place:] = [""] * len(tokens[place:])
    return "".join(dict.fromkeys(imports for imports, _ in chosen)) + "".join(tokens)


PRELUDE = """\
type hpa = u64[51:12]; type gpa = u64[51:12]; type sept_level = u32 in 0..4;
const NULL_PA = 0xffff_ffff_ffff_ffff;
bits sept_info { level [2:0]; state [15:8]; }
operands ids { RCX = 1; TDR = 0x80; }
statuses module {
    detail [31:0] of ids;
    success bits [63:62] == 0;
    TDX_SUCCESS = 0; TDX_INTERRUPTED_RESUMABLE = 0x8000000300000000;
    TDX_OPERAND_INVALID = 0xc000010000000000; TDX_OPERAND_BUSY = 0x8000020000000000;
    TDX_RND_NO_ENTROPY = 0x8000020300000000;
}
conduit seamcall {
    instruction seamcall "66 0f 01 cf";
    rax[15:0] = leaf;
    status rax in module;
    clobbers rcx, rdx, r8..r11, memory;
    on carry return 1;
    on fault return trapnr;
}
conduit tdcall { instruction tdcall "66 0f 01 cc"; rax = leaf; status rax[31:0] in module; }
conduit other extends seamcall { preserves r8..r11; rbx = 5; status r10; on fault #GP trap; }
"""
PARAMETERS = ("a: u64", "a: hpa", "b: sept_level", "b: u8", "c: bool", "d: s32", "e: gpa")
PLACES = ("rcx", "rcx[2:0]", "rdx", "rdx[63:12]", "r8[51:12]", "r9", "r15", "rbp", "rax", "rbx[0]")
VALUES = ("a", "b", "c", "d", "a | b", "a >> 12", "a << 3", "e - a", "5", "NULL_PA", "b + 1 | a")
OUTPUTS = ("x", "a", "b", "y: u8", "z: bool", "a: hpa", "x: hpa", "w: sept_info")
CONDITIONS = (
    "", "on success", "on error", "on TDX_OPERAND_BUSY(TDR)", "else 5", "optional",
    "on success or TDX_SUCCESS except TDX_OPERAND_BUSY(*)", "on error else NULL_PA",
)  # fmt: skip
CLAUSES = (
    "retry 9 on TDX_OPERAND_BUSY(TDR);", "retry 3 on TDX_OPERAND_BUSY(*);", "noinstr;",
    "retry 200 on TDX_RND_NO_ENTROPY, TDX_OPERAND_BUSY;", "deliver struct;", "deliver register;",
    "resume 9 on TDX_INTERRUPTED_RESUMABLE { rcx[0] = 1; carry rdx; }", "deliver struct optional;",
    "resume 5 on TDX_INTERRUPTED_RESUMABLE(*) { rdx = a; carry rcx, r8; }", "keep;", "keep x;",
    "check b else trap;", "check a else TDX_OPERAND_INVALID(RCX);", "allow rbp;", "noreturn;",
    "on fault trap;", "on carry return 0;", "on fault #UD return trapnr;", "on fault call f;",
    "clobbers rbx, r12..r14, simd;", "preserves r9..r11;", "effect global;", "since \"1\";",
)  # fmt: skip
FOR_WRAPPERS = -4  # all but these


@st.composite
def descriptions(draw: st.DrawFn) -> str:
    """A leaf, and perhaps a wrapper, of clauses that are fine by themselves."""
    some = st.sampled_from
    parameters = draw(st.lists(some(PARAMETERS), max_size=4, unique_by=lambda text: text[0]))
    output = st.tuples(some(OUTPUTS), some(PLACES), some(CONDITIONS))
    outputs = draw(st.lists(output, max_size=3, unique_by=lambda parts: parts[0][0]))
    operand = st.tuples(some(PLACES), some(VALUES))
    operands = draw(st.lists(operand, max_size=5, unique_by=lambda parts: parts[0][:3]))
    clauses = draw(st.lists(some(CLAUSES), max_size=3, unique_by=lambda text: text[:8]))
    conduit = draw(some(("seamcall", "seamcall", "seamcall", "tdcall", "other")))
    results = ", ".join(" ".join((name, "=", *rest)) for name, *rest in outputs)
    lines = [f"{place} = {value};" for place, value in operands] + clauses
    text = f"leaf A.B = 500 via {conduit} ({', '.join(parameters)}) -> ({results}) {{\n"
    text += "\n".join(lines) + "\n}\n"
    if draw(st.booleans()):
        more = [f"{place} = 0;" for place, _ in operands[:1]]
        more += draw(st.lists(some(CLAUSES[:FOR_WRAPPERS]), max_size=2))
        text += f"wrapper w = A.B ({', '.join(parameters[:2])}) {{ {' '.join(more)} }}\n"
    return PRELUDE + text


def load_and_check(text: str) -> None:
    """Loads, checks and perhaps compiles; anything but SeamError is a failure."""
    try:
        program = seamir.load_text(text, "any.seam", allow_calls=["f"])
        found = seamir.check(program)
        if not any(d.severity == "error" for d in found):
            seamir.compile(program, emit=("header",), deliver="struct")
    except seamir.SeamError as error:
        found = error.diagnostics
        assert found
    assert len({d.render() for d in found}) == len(found), "something is said twice"
    assert all(line.isprintable() for line in render(found).split("\n"))


@quietly
@given(soups())
def test_words_in_any_order(text: str) -> None:
    load_and_check(text)


@quietly
@given(mutants())
def test_the_library_with_mistakes(text: str) -> None:
    load_and_check(text)


@quietly
@given(descriptions())
def test_clauses_in_any_combination(text: str) -> None:
    load_and_check(text)
