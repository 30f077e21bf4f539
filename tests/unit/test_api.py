"""The library API: what it returns and refuses, what it loads, threads, types, documentation."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from command_line import LEAVES, ROOT, environment, write
from documented_examples import code_blocks
from tools import run

import seamir
from seamir.ir.leaf import Plan

OF_ANY_NAME = ("obj", "asm", "llvm-ir", "bitcode", "header", "manifest", "docs", "shipped")
EVERYTHING = (*OF_ANY_NAME, "exports", "kbuild")
BAD = "type a = nothing;\nleaf T.X = 1 via nobody ();\n"


def made(text: str = LEAVES, **options: Any) -> seamir.Compilation:
    """A compilation of a text."""
    return seamir.compile(seamir.load_text(text, "leaves.seam"), **options)


def bytes_of(result: seamir.Compilation) -> dict[str, bytes]:
    """The bytes of all outputs by kind."""
    return {kind: output.data for kind, output in result.outputs.items()}


def error_of(function: Callable[[], object]) -> seamir.Diagnostic:
    """The first diagnostic of the SeamError that the function raises."""
    with pytest.raises(seamir.SeamError) as caught:
        function()
    assert caught.value.diagnostics
    assert str(caught.value) == "\n".join(d.render() for d in caught.value.diagnostics)
    return caught.value.diagnostics[0]


@pytest.fixture(autouse=True)
def silence(capfd: pytest.CaptureFixture[str]) -> Any:
    """Nothing here may print."""
    yield
    assert capfd.readouterr() == ("", "")


# -- loading the package


def python(program: str, cwd: Path, **env: str) -> str:
    """What a Python program of its own prints."""
    command = (sys.executable, "-W", "error", "-c", program)
    return run(*command, cwd=cwd, env=environment(env)).stdout


def test_importing_loads_no_heavy_library(tmp_path: Path) -> None:
    heavy = {"llvmlite", "lark", "click", "rich", "unicorn", "elftools", "iced_x86", "z3", "pdb"}
    program = "import sys, seamir; print(*{name.partition('.')[0] for name in sys.modules})"
    assert heavy.isdisjoint(python(program, tmp_path).split())


def test_importing_loads_nothing_of_the_package(tmp_path: Path) -> None:
    program = """
import sys, seamir
print(*(name for name in sys.modules if name.startswith("seamir")))
from seamir import *
assert load is seamir.load and Target is seamir.Target
assert set(seamir.__all__) <= set(dir(seamir))
"""
    assert set(python(program, tmp_path).split()) == {"seamir", "seamir.version"}


def test_public_names_are_imported_by_programs_as_by_type_checkers() -> None:
    tree = ast.parse((ROOT / "seamir/__init__.py").read_text(encoding="utf-8"))
    imported = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("seamir.")
        for alias in node.names
        if alias.asname is None
    }
    assert {name for _, name in imported} == set(seamir.__all__) - {"__version__"}
    for module, name in imported:
        assert getattr(seamir, name) is getattr(import_module(module), name)
    with pytest.raises(AttributeError, match="module `seamir` has no attribute `compiled`"):
        _ = seamir.compiled  # type: ignore[attr-defined]


def test_checking_needs_no_code_generator(tmp_path: Path) -> None:
    write(tmp_path)
    program = """
import sys, seamir
program = seamir.load("leaves.seam")
seamir.check(program)
seamir.compile(program, emit=("header",)).write("out")
print(*{name.partition(".")[0] for name in sys.modules})
"""
    assert {"llvmlite", "click", "rich", "unicorn"}.isdisjoint(python(program, tmp_path).split())
    assert (tmp_path / "out/leaves.h").exists()


def test_what_is_public_is_there() -> None:
    assert sorted(seamir.__all__) == sorted(set(seamir.__all__))
    for name in seamir.__all__:
        value = getattr(seamir, name)
        assert name in ("FEATURES", "TARGETS", "__version__") or value.__doc__, name
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", seamir.__version__)


# -- load


def test_load_a_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    for name in (path, str(path)):
        program = seamir.load(name)
        assert program.stem == "leaves"
        assert program.main.name == str(path)
        assert program.main.text == LEAVES
        assert program.paths == (str(path.resolve()),)


def test_load_from_the_library() -> None:
    program = seamir.load("tdx/host.seam")
    assert program.stem == "host"
    assert len(program.paths) == 4
    assert all(os.path.isabs(path) and os.path.isfile(path) for path in program.paths)


def test_programs_share_what_was_parsed(tmp_path: Path) -> None:
    write(tmp_path, "shared.seam")
    text = 'import "shared.seam";\nwrapper {0} = TEST.READ;\n'
    names = [write(tmp_path, f"{word}.seam", text.format(word)) for word in ("one", "two")]
    parsed = seamir.ParsedFiles()
    programs = [seamir.load(name, parsed=parsed) for name in (*names, tmp_path / "shared.seam")]
    programs.append(seamir.load_text(text.format("three"), include=[tmp_path], parsed=parsed))
    first, second, named, third = (program.units[0] for program in programs)
    assert first.file.items is second.file.items
    assert first.file.items is named.file.items
    assert (first.named, second.named, named.named, third.named) == (False, False, True, False)
    assert [seamir.compile(p).symbols[0] for p in programs] == [
        "one",
        "two",
        "test_remove",
        "three",
    ]
    alone = seamir.compile(seamir.load(names[1]))
    assert bytes_of(seamir.compile(programs[1])) == bytes_of(alone)


def test_parsed_files_keep_one_state_and_no_errors(tmp_path: Path) -> None:
    path = write(tmp_path)
    parsed = seamir.ParsedFiles()
    assert seamir.load(path, parsed=parsed).main.text == LEAVES
    path.write_text("leaf", encoding="utf-8")
    assert seamir.load(path, parsed=parsed).main.text == LEAVES
    assert error_of(lambda: seamir.load(path)).code == "E0106"
    other = write(tmp_path, "other.seam", 'import "wrong.seam";\n')
    wrong = write(tmp_path, "wrong.seam", "type x = u64 u64;\n")
    for _ in range(2):
        assert error_of(lambda: seamir.load(other, parsed=parsed)).code == "E0106"
    wrong.unlink()
    for _ in range(2):
        assert error_of(lambda: seamir.load(tmp_path / "none.seam", parsed=parsed)).code == "E0101"


def test_threads_share_parsed_files(tmp_path: Path) -> None:
    text = 'import "tdx/host.seam";\nwrapper w{0} = TDH.MEM.TRACK;\n'
    names = [write(tmp_path, f"w{n}.seam", text.format(n)) for n in range(4)]
    parsed = seamir.ParsedFiles()
    with ThreadPoolExecutor(4) as pool:
        programs = list(pool.map(lambda name: seamir.load(name, parsed=parsed), names))
    assert [seamir.compile(p).symbols for p in programs] == [("w0",), ("w1",), ("w2",), ("w3",)]


def test_load_a_text_with_imports(tmp_path: Path) -> None:
    write(tmp_path, "shared.seam")
    text = 'import "shared.seam";\nwrapper read = TEST.READ;\n'
    for include in ([tmp_path], [str(tmp_path)], (tmp_path,), tmp_path, str(tmp_path)):
        program = seamir.load_text(text, "own.seam", include=include)  # type: ignore[arg-type]  # one of each kind
        assert program.stem == "own"
        assert program.paths == (str((tmp_path / "shared.seam").resolve()),)
        assert seamir.compile(program).symbols == ("read",)


def test_the_name_of_a_text() -> None:
    for name, stem in (("x.seam", "x"), ("a/b.seam", "b"), ("<string>", "<string>"), ("", "text")):
        program = seamir.load_text(LEAVES, name)
        assert program.stem == stem
        assert seamir.compile(program, emit=OF_ANY_NAME).symbols[0] == "test_remove"
    for name in ("\udcff.seam", "\ud800.seam", "new\nline.seam", "☃.seam", '"*/\\'):
        seamir.compile(seamir.load_text(LEAVES, name), emit=OF_ANY_NAME)


def test_the_text_may_be_anything() -> None:
    texts = {"": None, "\0": "E0104", "\ud800": "E0104", "☃": "E0107", "x" * 70_000: "E0103"}
    for text, code in texts.items():
        if code is None:
            assert seamir.check(seamir.load_text(text)) == ()
        else:
            assert error_of(lambda text=text: seamir.load_text(text)).code == code  # type: ignore[misc]  # untyped default


def test_a_lone_string_is_one_word(tmp_path: Path) -> None:
    program = seamir.load_text(LEAVES, leaves="TEST.READ")
    result = seamir.compile(program, emit="header", features="-ibt")
    assert list(result.outputs) == ["header"]
    assert result.symbols == ("test_read",)
    assert "ibt" not in result.target.features


# -- check


def test_check_returns_diagnostics() -> None:
    found = seamir.check(seamir.load_text(BAD, "bad.seam"))
    assert [diagnostic.severity for diagnostic in found] == ["error", "error"]
    first = found[0]
    assert first.span is not None
    assert (first.span.line, first.span.column, first.span.text) == (1, 10, "nothing")
    assert first.render().startswith(f"bad.seam:1:10: error[{first.code}]: {first.message}\n")
    data = json.loads(json.dumps(first.to_json()))
    assert data["place"]["end_column"] == 17
    assert seamir.check(seamir.load_text(LEAVES)) == ()


def test_check_returns_what_compile_raises() -> None:
    program = seamir.load_text(BAD)
    with pytest.raises(seamir.SeamError) as caught:
        seamir.compile(program)
    assert [d.render() for d in caught.value.diagnostics] == [
        d.render() for d in seamir.check(program)
    ]


def test_warnings_come_with_the_result() -> None:
    result = made(LEAVES.replace("retry 9", "retry 20000"))
    assert [diagnostic.code for diagnostic in result.diagnostics] == ["W0503"]
    assert result.diagnostics[0].severity == "warning"
    assert made().diagnostics == ()


def test_a_program_can_be_used_again() -> None:
    program = seamir.load_text(LEAVES)
    assert seamir.check(program) == seamir.check(program) == ()
    first, second = (
        seamir.compile(program, emit=EVERYTHING),
        seamir.compile(program, emit=EVERYTHING),
    )
    assert bytes_of(first) == bytes_of(second)
    assert first == second
    bad = seamir.load_text(BAD)
    assert [d.render() for d in seamir.check(bad)] == [d.render() for d in seamir.check(bad)]


# -- compile


def test_code_and_symbols() -> None:
    result = made(features=("-rethunk", "-sls"))
    assert result.symbols == ("test_remove", "test_read", "test_track")
    assert result.stem == "leaves"
    for symbol in result.symbols:
        assert result.code(symbol).startswith(bytes.fromhex("f30f1efa"))
        assert bytes.fromhex("660f01cf") in result.code(symbol)
    assert [function.name for function in result.object_file.functions] == list(result.symbols)
    with pytest.raises(KeyError):
        result.code("test_write")
    with pytest.raises(KeyError):
        made(emit=("header",)).code("test_read")


def test_outputs_and_text() -> None:
    result = made(emit=EVERYTHING)
    assert tuple(result.outputs) == EVERYTHING
    suffixes = {kind: output.suffix for kind, output in result.outputs.items()}
    assert suffixes == seamir.list_outputs()
    assert result.outputs["obj"].data.startswith(b"\x7fELF")
    assert result.outputs["bitcode"].data.startswith(b"BC\xc0\xde")
    assert "test_read:" in result.outputs["asm"].text
    assert "u64 test_track(u64 page);" in result.outputs["header"].text
    wrappers = json.loads(result.outputs["manifest"].text)["wrappers"]
    assert [wrapper["symbol"] for wrapper in wrappers] == list(result.symbols)


@pytest.mark.parametrize("target", sorted(seamir.TARGETS))
def test_plans_for_every_target(target: str) -> None:
    result = made(target=target, emit=())
    assert result.outputs == {}
    assert [plan.symbol for plan in result.plans] == list(result.symbols)
    assert all(isinstance(plan, Plan) for plan in result.plans)
    assert str(result.plans[1]).startswith("plan test_read: TEST.READ = 11 version 0 via call\n")
    assert result.target == seamir.TARGETS[target] == seamir.select_target(target)
    again = made(target=seamir.TARGETS[target], emit=())
    assert [str(plan) for plan in again.plans] == [str(plan) for plan in result.plans]


def test_features_of_a_target() -> None:
    target = seamir.select_target("linux-kernel", ["-fixup", "+redzone"])
    assert target.features == seamir.TARGETS["linux-kernel"].features - {"fixup"} | {"redzone"}
    assert made(target=target, features=["+fixup"]).target.features >= {"fixup", "redzone"}
    assert "fixup" in seamir.TARGETS["linux-kernel"].features
    assert made(target=target).object_file.fixups("__ex_table") == ()
    assert set(seamir.FEATURES) >= target.features


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (lambda: seamir.load("nowhere.seam"), "E0101"),
        (lambda: seamir.load(""), "E0101"),
        (lambda: seamir.load("a\0b"), "E0101"),
        (lambda: seamir.load("."), "E0102"),
        (lambda: seamir.load_text(LEAVES, allow_instructions=["zz"]), "E0809"),
        (lambda: seamir.load_text(LEAVES, allow_instructions=["00" * 16]), "E0809"),
        (lambda: made(target="linux"), "E0801"),
        (lambda: made(features=["ibt"]), "E0802"),
        (lambda: made(features=["+"]), "E0802"),
        (lambda: made(features=[""]), "E0802"),
        (lambda: made(emit=["exe"]), "E0809"),
        (lambda: made(emit=[""]), "E0809"),
        (lambda: made(deliver=""), "E0809"),
        (lambda: made(symbol_prefix="a-b"), "E0809"),
        (lambda: made(symbol_prefix="a\n"), "E0809"),
        (lambda: made(symbol_prefix="é"), "E0809"),
        (lambda: made(symbol_prefix="p" * 257), "E0809"),
        (lambda: seamir.compile(seamir.load_text(LEAVES, leaves=["X.*"])), "E0806"),
        (lambda: seamir.compile(seamir.load_text(LEAVES, conduits={"call": "x"})), "E0803"),
        (lambda: seamir.compile(seamir.load_text("")), "E0807"),
        (lambda: made().write("a\0b"), "E0808"),
        (lambda: made().write("/dev/null"), "E0808"),
        (lambda: made().write("/dev/null/below"), "E0808"),
        (lambda: seamir.write_all([made(), made()], "."), "E0808"),
        (lambda: seamir.select_target("x"), "E0801"),
        (lambda: seamir.select_target("linux-user", ["x"]), "E0802"),
    ],
)
def test_a_bad_request_is_a_seam_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: Callable[[], object], code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert error_of(request_).code == code
    assert list(tmp_path.iterdir()) == []


# -- write


def test_write(tmp_path: Path) -> None:
    result = made(emit=EVERYTHING)
    paths = result.write(tmp_path / "out")
    assert [path.name for path in paths] == [
        "leaves.o",
        "leaves.s",
        "leaves.ll",
        "leaves.bc",
        "leaves.h",
        "leaves.json",
        "leaves.md",
        "leaves.o_shipped",
        "leaves_exports.c",
        "leaves.kbuild",
    ]
    assert [path.read_bytes() for path in paths] == list(bytes_of(result).values())
    assert made(emit=()).write(tmp_path / "nothing") == ()


def test_write_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert made().write() == (Path("leaves.o"),)
    assert made().write("sub", depfile="sub/leaves.d") == (
        Path("sub/leaves.o"),
        Path("sub/leaves.d"),
    )


def test_write_all(tmp_path: Path) -> None:
    write(tmp_path, "one.seam")
    write(tmp_path, "two.seam", LEAVES.replace("TEST.", "TWO."))
    results = [seamir.compile(seamir.load(tmp_path / name)) for name in ("one.seam", "two.seam")]
    paths = seamir.write_all(results, tmp_path / "out", tmp_path / "out/all.d")
    assert [path.name for path in paths] == ["one.o", "two.o", "all.d"]
    rule = (tmp_path / "out/all.d").read_text()
    assert rule.count(".seam") == 2


# -- threads, process, types


def test_threads_make_the_same_bytes() -> None:
    texts = [
        LEAVES.replace("TEST.", f"T{n}.").replace("retry 9", f"retry {n}") for n in range(1, 9)
    ]
    bad = [BAD + "type b = also_nothing;\n" * n for n in range(8)]

    def work(number: int) -> tuple[dict[str, bytes], list[str]]:
        program = seamir.load_text(texts[number], f"t{number}.seam")
        result = seamir.compile(program, emit=EVERYTHING, symbol_prefix=f"p{number}_")
        errors = seamir.check(seamir.load_text(bad[number], f"t{number}.seam"))
        return bytes_of(result), [diagnostic.render() for diagnostic in errors]

    alone = [work(number) for number in range(8)]
    together: list[Any] = [None] * 8
    barrier = threading.Barrier(8)

    def run(number: int) -> None:
        barrier.wait()
        for _ in range(3):
            together[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_threads_from_the_very_beginning(tmp_path: Path) -> None:
    """Nothing is set up yet when all threads begin, neither the parser nor LLVM."""
    write(tmp_path)
    program = """
import hashlib, threading, seamir
found = []
barrier = threading.Barrier(8)
def work():
    barrier.wait()
    result = seamir.compile(seamir.load("leaves.seam"), emit=("obj", "asm", "header", "manifest"))
    found.append(b"".join(output.data for output in result.outputs.values()))
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), len(set(found)), hashlib.sha256(found[0]).hexdigest())
"""
    result = made(emit=("obj", "asm", "header", "manifest"))
    alone = hashlib.sha256(b"".join(bytes_of(result).values())).hexdigest()
    for _ in range(2):  # without anything kept from earlier runs, and with it
        text = python(program, tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
        assert text == f"8 1 {alone}\n"


def test_the_process_is_left_as_it_was(tmp_path: Path) -> None:
    before = os.getcwd(), dict(os.environ), sys.getrecursionlimit(), list(sys.path)
    made(emit=EVERYTHING).write(tmp_path)
    assert (os.getcwd(), dict(os.environ), sys.getrecursionlimit(), list(sys.path)) == before


USER_PROGRAM = """\
from pathlib import Path

import seamir


def build(name: str, folder: Path) -> dict[str, bytes]:
    program: seamir.Program = seamir.load(Path(name), include=[folder, "x"], leaves=["TDH.*"])
    problems: tuple[seamir.Diagnostic, ...] = seamir.check(program)
    for problem in problems:
        line: int = problem.span.line if problem.span is not None else 0
        print(line, problem.code, problem.severity, problem.message, problem.help, problem.notes)
    target: seamir.Target = seamir.select_target("linux-kernel", ["-ibt"])
    try:
        result: seamir.Compilation = seamir.compile(program, target=target, emit=("obj", "asm"))
    except seamir.SeamError as error:
        raise SystemExit(error.diagnostics[0].render()) from error
    paths: tuple[Path, ...] = result.write(folder, depfile=folder / "x.d")
    seamir.write_all([result], str(folder))
    text: str = result.outputs["asm"].text + str(result.plans[0])
    print(paths, text, result.object_file.functions[0].name)
    return {symbol: result.code(symbol) for symbol in result.symbols}


reveal_type(seamir.load_text)
seamir.compile("leaves.seam")
"""


def test_types_for_users(tmp_path: Path) -> None:
    """A program that uses the API passes mypy --strict, and mypy sees the types of the package."""
    (tmp_path / "user.py").write_text(USER_PROGRAM)
    mypy = (sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache")
    env = environment({"MYPYPATH": "", "PYTHONPATH": str(ROOT)})
    done = run(*mypy, "user.py", cwd=tmp_path, env=env, status=1)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, done.stdout + done.stderr
    assert 'has incompatible type "str"; expected "Program"' in errors[0]
    assert "def (text: str, name: str =" in done.stdout


# -- the documentation


@pytest.mark.parametrize("name", ["docs/api.md", "README.md"])
def test_examples_run(tmp_path: Path, name: str) -> None:
    """All blocks of a document, one after the other, in a folder with leaves.seam."""
    blocks = code_blocks(ROOT / name, "python")
    assert blocks
    write(tmp_path)
    python("\n".join(blocks), tmp_path)


def test_the_documentation_names_everything_public() -> None:
    text = (ROOT / "docs/api.md").read_text()
    for name in seamir.__all__:
        assert f"`{name}" in text or f"seamir.{name}" in text, name


@pytest.mark.parametrize("edge", ["on carry", "on fault", "on fault #UD", "on refused rdx != 0"])
def test_a_prefix_cannot_make_a_called_function_ours(edge: str) -> None:
    text = f"""
    conduit c {{ instruction seamcall "66 0f 01 cf"; status rax; rax = leaf; {edge} call p_b; }}
    leaf B = 1 via c () {{ }}
    """
    program = seamir.load_text(text, allow_calls=["p_b"])
    with pytest.raises(seamir.SeamError) as caught:
        seamir.compile(program, symbol_prefix="p_")
    assert [d.code for d in caught.value.diagnostics] == ["E0208"]


def test_a_symbol_with_prefix_cannot_be_called_when_refused_either() -> None:
    text = (
        'conduit c { instruction tdcall "66 0f 01 cc"; status rax; on refused r10 != 0 trap; }\n'
        "leaf A via c () { on refused call p_b return 0; }\n"
        "leaf B via c ();\n"
    )
    program = seamir.load_text(text, allow_calls=["p_b"])
    with pytest.raises(seamir.SeamError, match="p_b is a function of this compilation"):
        seamir.compile(program, symbol_prefix="p_")
