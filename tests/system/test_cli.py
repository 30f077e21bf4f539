"""The command line: every command and option, exit statuses, and what is said where."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
import tools
from command_line import LEAVES, ROOT, call, code, environment, names_in, read, run, symbols, write
from documented_examples import code_blocks

import seamir
from seamir.cli import main
from seamir.compiler import DELIVERIES

COMMANDS = sorted(main.commands)
ENDBR64 = bytes.fromhex("f30f1efa")
TDX_SW_ERROR = 0x8000_FF00_0000_0000
RETHUNK = "__x86_return_thunk"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with leaves.seam in it."""
    write(tmp_path)
    return tmp_path


def manifest(path: Path) -> dict[str, dict[str, object]]:
    """The wrappers of a manifest by symbol."""
    wrappers = json.loads(path.read_text())["wrappers"]
    return {wrapper["symbol"]: wrapper for wrapper in wrappers}


# -- compile: outputs


def test_an_object_is_what_one_gets(folder: Path) -> None:
    done = run("compile", "leaves.seam", cwd=folder)
    assert (done.stdout, done.stderr) == ("", "")
    assert names_in(folder) == ["leaves.o", "leaves.seam"]
    assert symbols(folder / "leaves.o") == ["test_remove", "test_read", "test_track"]


def test_several_outputs_at_once(folder: Path) -> None:
    run("compile", "leaves.seam", "-o", "a/b", "--emit", "obj, asm,llvm-ir", "--emit",
        "bitcode,header,manifest,obj", cwd=folder)  # fmt: skip
    names = ["leaves.bc", "leaves.h", "leaves.json", "leaves.ll", "leaves.o", "leaves.s"]
    assert names_in(folder / "a/b") == names
    assert "test_read:" in (folder / "a/b/leaves.s").read_text()
    assert "define" in (folder / "a/b/leaves.ll").read_text()
    assert "u64 test_read(u64 field, u64 *data);" in (folder / "a/b/leaves.h").read_text()
    assert list(manifest(folder / "a/b/leaves.json")) == symbols(folder / "a/b/leaves.o")


def test_assembly_for_a_kernel_tree(folder: Path) -> None:
    arguments = ("compile", "leaves.seam", "--emit", "asm,obj", "--asm-style", "linux", "--json")
    files = json.loads(run(*arguments, cwd=folder).stdout)["files"]
    assert [(file["kind"], file["path"]) for file in files] == [
        ("asm", "leaves.S"),
        ("obj", "leaves.o"),
    ]
    assert "SYM_TYPED_FUNC_START(test_read)" in (folder / "leaves.S").read_text()


def test_a_library_path(tmp_path: Path) -> None:
    run("compile", "tdx/host.seam", cwd=tmp_path)
    assert names_in(tmp_path) == ["host.o"]
    listed = run("list", "tdx/host.seam", cwd=tmp_path).stdout.splitlines()[1:]
    assert sorted(symbols(tmp_path / "host.o")) == sorted(line.split()[0] for line in listed)
    assert "tdh_mem_page_remove" in symbols(tmp_path / "host.o")


def test_several_files(folder: Path) -> None:
    write(folder, "more.seam", LEAVES.replace("TEST.", "MORE."))
    call("compile", "leaves.seam", "more.seam", "-o", "out", cwd=folder)
    assert names_in(folder / "out") == ["leaves.o", "more.o"]
    assert symbols(folder / "out/more.o") == ["more_remove", "more_read", "more_track"]


def test_without_line_table(folder: Path) -> None:
    call("compile", "leaves.seam", "-o", "with", cwd=folder)
    call("compile", "leaves.seam", "-o", "without", "--no-debug", cwd=folder)
    with_lines, without = read(folder / "with/leaves.o"), read(folder / "without/leaves.o")
    assert all(function.lines for function in with_lines.functions)
    assert not any(function.lines for function in without.functions)
    for function in without.functions:
        assert function.code == code(folder / "with/leaves.o", function.name)


# -- compile: target and features


def test_features(folder: Path) -> None:
    call("compile", "leaves.seam", "-o", "default", cwd=folder)
    assert code(folder / "default/leaves.o", "test_read").startswith(ENDBR64)
    call("compile", "leaves.seam", "-o", "none", "--feature", "-ibt,-rethunk", cwd=folder)
    plain = code(folder / "none/leaves.o", "test_read")
    assert not plain.startswith(ENDBR64)
    assert b"\xc3\xcc" in plain  # ret, then int3 of sls
    bare = ["--feature=-ibt", "--feature", "-rethunk,-sls,-fixup"]
    call("compile", "leaves.seam", "-o", "bare", *bare, cwd=folder)
    assert read(folder / "bare/leaves.o").fixups("__ex_table") == ()
    assert b"\xc3\xcc" not in code(folder / "bare/leaves.o", "test_read")
    call("compile", "leaves.seam", "-o", "last", "--feature", "-ibt,+ibt", cwd=folder)
    assert (folder / "last/leaves.o").read_bytes() == (folder / "default/leaves.o").read_bytes()


def test_target(folder: Path) -> None:
    call("compile", "leaves.seam", "--target", "linux-user", "--emit", "obj,manifest", cwd=folder)
    assert not code(folder / "leaves.o", "test_read").startswith(ENDBR64)
    assert json.loads((folder / "leaves.json").read_text())["target"]["name"] == "linux-user"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "linux"], "there is no target `linux`"),
        (["--feature", "rethunk"], "write +rethunk or -rethunk"),
        (["--feature", "-shadow"], "there is no feature `shadow`"),
        (["--feature", "+bogus"], "help: features are ibt, rethunk,"),
        (["--feature", "-rethnk"], "did you mean `-rethunk`?"),
        (["--feature", "rethnk"], "did you mean `rethunk`?"),
        (["--feature", "-ibt,,-sls"], "`-ibt,,-sls` has a comma too many"),
        (["--feature", "+"], "there is no feature ``"),
        (["--emit", "obj,exe"], "there is no output `exe`"),
        (["--emit", ""], "--emit names no output"),
        (["--emit", " , "], "` , ` has a comma too many"),
        (["--emit", "obj,,header"], "`obj,,header` has a comma too many"),
        (["--emit", "obj,"], "`obj,` has a comma too many"),
        (["--asm-style", "intel"], "there is no assembly style `intel`"),
        (["--asm-style", "linux"], "help: emit asm or kbuild"),
        (["--asm-style", "linux", "--emit", "asm", "--target", "uefi"], "target uefi is not"),
        (["--deliver", "stack"], "there is no delivery `stack`"),
        (["--symbol-prefix", "1x"], "`1x` cannot begin a symbol"),
        (["--symbol-prefix", "ä"], "`ä` cannot begin a symbol"),
        (["--symbol-prefix", "x" * 257], "a symbol prefix of 257 characters"),
        (["--conduit", "call"], "`call` is not NAME=OTHER"),
        (["--conduit", "call=cal"], "there is no conduit `cal`"),
        (["--conduit", "call=a", "--conduit", "call=b"], "`call` stands for two others"),
        (["--leaf", "TEST.REED"], "did you mean `TEST.READ`?"),
        (["--leaf", "NOPE"], "error[E0806]: no leaf and no symbol matches `NOPE`"),
        (["--leaf", "NOPE"], "leaves are TEST.REMOVE, TEST.READ, TEST.TRACK\n"),
        (["--allow-instruction", "0g"], "`0g` is not 1 to 15 bytes in hexadecimal"),
        (["-I", "nowhere"], "nowhere"),
        (["--bogus"], "--bogus"),
        (["--depfile"], "--depfile"),
    ],
)
def test_a_bad_command_line(folder: Path, arguments: list[str], message: str) -> None:
    done = call("compile", "leaves.seam", *arguments, cwd=folder, status=2)
    assert message in done.stderr
    assert done.stdout == ""
    assert names_in(folder) == ["leaves.seam"]


def test_a_bad_request_comes_before_errors_in_the_file(tmp_path: Path) -> None:
    write(tmp_path, text="type t = nothing;")
    done = run("compile", "leaves.seam", "--target", "x", cwd=tmp_path, status=2)
    assert "E0801" in done.stderr
    assert "E02" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["compile"], ["check"], ["list"]])
def test_unknown_and_missing_words(tmp_path: Path, arguments: list[str]) -> None:
    done = call(*arguments, cwd=tmp_path, status=2)
    assert "Usage: seamir" in done.stderr
    assert done.stdout == ""


# -- compile: what of the file


def test_leaf_chooses_by_name_and_symbol(folder: Path) -> None:
    call("compile", "leaves.seam", "--leaf", "TEST.RE*", cwd=folder)
    assert symbols(folder / "leaves.o") == ["test_remove", "test_read"]
    call("compile", "leaves.seam", "--leaf", "test_track", "--leaf", "TEST.READ", cwd=folder)
    assert symbols(folder / "leaves.o") == ["test_read", "test_track"]


def test_imported_leaves_come_with_leaf_only(folder: Path) -> None:
    own = 'import "leaves.seam";\nwrapper read = TEST.READ;\n'
    write(folder, "own.seam", own)
    call("compile", "own.seam", cwd=folder)
    assert symbols(folder / "own.o") == ["read"]
    call("compile", "own.seam", "--leaf", "TEST.TRACK", "--leaf", "read", cwd=folder)
    assert sorted(symbols(folder / "own.o")) == ["read", "test_track"]


def test_a_file_without_leaves_of_its_own(folder: Path) -> None:
    write(folder, "none.seam", 'import "leaves.seam";\n')
    done = call("compile", "none.seam", cwd=folder, status=1)
    assert "describes no leaf" in done.stderr
    assert "--leaf" in done.stderr
    assert call("check", "none.seam", cwd=folder).stderr == ""


def test_deliver_register_where_the_outputs_allow_it(folder: Path) -> None:
    call("compile", "leaves.seam", "--deliver", "register", "--emit", "manifest", cwd=folder)
    wrappers = manifest(folder / "leaves.json")
    returned = {symbol: wrapper["returns"] for symbol, wrapper in wrappers.items()}
    assert returned == {
        "test_remove": "status",  # two outputs: by pointers
        "test_read": "status and value",
        "test_track": "status",
    }
    outputs = wrappers["test_remove"]["outputs"]
    assert isinstance(outputs, list)
    assert [output["delivery"]["kind"] for output in outputs] == ["pointer", "pointer"]


def test_conduit_stands_in(folder: Path) -> None:
    arguments = ["compile", "leaves.seam", "--emit", "manifest"]
    call(*arguments, cwd=folder)
    assert manifest(folder / "leaves.json")["test_read"]["selectors"] == [
        {"register": "rax", "value": "0xb"}
    ]
    call(*arguments, "--conduit", "call=other_call", cwd=folder)
    assert manifest(folder / "leaves.json")["test_read"]["selectors"] == [
        {"register": "rax", "value": "0x800000000000000b"}
    ]
    assert manifest(folder / "leaves.json")["test_read"]["conduit"] == "other_call"


def test_symbol_prefix_reaches_every_output(folder: Path) -> None:
    run("compile", "leaves.seam", "--symbol-prefix", "my_", "--deliver", "struct",
        "--emit", "obj,asm,header,manifest", cwd=folder)  # fmt: skip
    wanted = ["my_test_remove", "my_test_read", "my_test_track"]
    assert symbols(folder / "leaves.o") == wanted
    assert list(manifest(folder / "leaves.json")) == wanted
    header, assembly = (folder / "leaves.h").read_text(), (folder / "leaves.s").read_text()
    assert "u64 my_test_remove(u64 page, u32 level, struct my_test_remove_outputs *out);" in (
        " ".join(header.split())
    )
    assert "my_test_read:" in assembly
    for text in (header, assembly, (folder / "leaves.json").read_text()):
        assert not re.search(r"(?<!my_)\btest_(remove|read|track)", text)


def test_permissions(folder: Path) -> None:
    write(folder, "calls.seam", LEAVES.replace("on carry return DOWN", "on carry call panic"))
    done = call("compile", "calls.seam", cwd=folder, status=1)
    assert "panic" in done.stderr
    call("compile", "calls.seam", "--allow-call", "panic", cwd=folder)
    text = LEAVES.replace('seamcall "66 0f 01 cf"', 'vmcall "0f 01 c1"')
    write(folder, "other.seam", text.replace("on carry return DOWN;", ""))
    call("compile", "other.seam", cwd=folder, status=1)
    call("compile", "other.seam", "--allow-instruction", "0f01c1", cwd=folder)
    assert b"\x0f\x01\xc1" in code(folder / "other.o", "test_read")


# -- finding files


def test_include_folders(tmp_path: Path) -> None:
    write(tmp_path, "one/shared.seam", LEAVES)
    write(tmp_path, "two/shared.seam", LEAVES.replace("TEST.READ = 11", "TEST.READ = 12"))
    write(tmp_path, "own.seam", 'import "shared.seam";\nwrapper read = TEST.READ;\n')
    arguments = ["compile", "own.seam", "--emit", "manifest"]
    call(*arguments, cwd=tmp_path, status=1)
    call(*arguments, "-I", "one", "-I", "two", cwd=tmp_path)
    assert manifest(tmp_path / "own.json")["read"]["number"] == "0xb"
    call(*arguments, "-Itwo", "-Ione", cwd=tmp_path)
    assert manifest(tmp_path / "own.json")["read"]["number"] == "0xc"


def test_search_order(tmp_path: Path) -> None:
    """The current folder comes before -I, and -I before the library."""

    def number() -> object:
        return manifest(tmp_path / "host.json")["test_read"]["number"]

    arguments = ["compile", "tdx/host.seam", "-I", "inc", "--emit", "manifest"]
    write(tmp_path, "inc/tdx/host.seam", LEAVES)
    call(*arguments, cwd=tmp_path)
    assert number() == "0xb"
    write(tmp_path, "tdx/host.seam", LEAVES.replace("TEST.READ = 11", "TEST.READ = 12"))
    call(*arguments, cwd=tmp_path)
    assert number() == "0xc"
    (tmp_path / "tdx/host.seam").unlink()
    (tmp_path / "inc/tdx/host.seam").unlink()
    call(*arguments, cwd=tmp_path)
    assert "tdh_mng_create" in manifest(tmp_path / "host.json")


@pytest.mark.parametrize("name", ["-", "nowhere.seam", "", "../nowhere.seam", "tdx/../x.seam"])
def test_no_such_file(tmp_path: Path, name: str) -> None:
    done = call("compile", name, cwd=tmp_path, status=1)
    assert f"there is no file `{name}`" in done.stderr
    assert "tdx/host.seam" in done.stderr


def test_a_folder_and_a_device_are_no_files(tmp_path: Path) -> None:
    assert "is a directory" in call("check", ".", cwd=tmp_path, status=1).stderr
    assert "not a regular file" in call("check", "/dev/null", cwd=tmp_path, status=1).stderr


# -- diagnostics


BAD = "type a = nothing;\nleaf T.X = 1 via nobody ();\n"


def test_errors_go_to_stderr_and_name_their_place(tmp_path: Path) -> None:
    write(tmp_path, "bad.seam", BAD)
    for command in ("compile", "check", "list"):
        done = call(command, "bad.seam", cwd=tmp_path, status=1)
        assert done.stdout == ""
        assert "bad.seam:1:10: error[E0" in done.stderr
        assert "bad.seam:2:18: error[E0" in done.stderr
        codes = re.findall(r"error\[(E\d+)\]", done.stderr)
        one, two = (f"`seamir explain {code}`" for code in codes)
        assert done.stderr.endswith(f"\n2 errors; {one} and {two} say more\n")
    assert names_in(tmp_path) == ["bad.seam"]


def test_the_last_line_names_up_to_three_codes_once(tmp_path: Path) -> None:
    write(tmp_path, "bad.seam", "type a = nothing;\ntype b = nothing;\n")
    done = call("check", "bad.seam", cwd=tmp_path, status=1)
    assert re.search(r"\n2 errors; `seamir explain E0\d{3}` says more\n$", done.stderr)
    write(tmp_path, "bad.seam", BAD + "const B = 1;\nconst B = 2;\nwrapper w = NO.LEAF;\n" * 2)
    done = call("check", "bad.seam", cwd=tmp_path, status=1)
    codes = list(dict.fromkeys(re.findall(r"error\[(E\d+)\]", done.stderr)))
    assert len(codes) > 3
    one, two, three = (f"`seamir explain {code}`" for code in codes[:3])
    assert done.stderr.endswith(f" errors; {one}, {two} and {three} say more\n")


def test_errors_of_all_files_are_reported_once(tmp_path: Path) -> None:
    write(tmp_path, "shared.seam", "type a = nothing;\n")
    write(tmp_path, "one.seam", 'import "shared.seam";\ntype b = none;\nconst C = a;\n')
    write(tmp_path, "two.seam", 'import "shared.seam";\ntype c = none_either;\n')
    for command in ("compile", "check"):
        done = call(command, "shared.seam", "shared.seam", "one.seam", "two.seam",
                   cwd=tmp_path, status=1)  # fmt: skip
        assert done.stderr.count("shared.seam:1:10: error") == 1
        assert "one.seam:2:10: error" in done.stderr
        assert "two.seam:2:10: error" in done.stderr


def test_a_warning_does_not_stop(folder: Path) -> None:
    write(folder, "many.seam", LEAVES.replace("retry 9", "retry 20000"))
    done = call("compile", "many.seam", cwd=folder)
    assert re.match(r"many\.seam:\d+:5: warning\[W0503\]: .*20001", done.stderr)
    assert (folder / "many.o").exists()
    assert "W0503" in call("check", "many.seam", cwd=folder).stderr


def test_check_says_nothing_about_a_good_file(folder: Path) -> None:
    done = call("check", "leaves.seam", "tdx/host.seam", cwd=folder)
    assert (done.stdout, done.stderr) == ("", "")
    assert names_in(folder) == ["leaves.seam"]


def test_check_finds_what_compile_finds(folder: Path) -> None:
    clash = [
        f"wrapper {leaf} = TEST.{leaf} {{ deliver struct s; }}\n" for leaf in ("READ", "REMOVE")
    ]
    write(folder, text=LEAVES + "".join(clash))
    for command in ("check", "compile", "list"):
        assert "error[E0611]" in call(command, "leaves.seam", cwd=folder, status=1).stderr


def test_check_as_json(folder: Path) -> None:
    done = call("check", "leaves.seam", "--json", cwd=folder)
    assert json.loads(done.stdout) == []
    write(folder, "bad.seam", BAD)
    done = call("check", "bad.seam", "leaves.seam", "no.seam", "--json", cwd=folder, status=1)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert [entry["severity"] for entry in found] == ["error", "error", "error"]
    place = {"file": "bad.seam", "line": 1, "column": 10, "end_line": 1, "end_column": 17}
    assert found[0]["place"] == place
    assert set(found[0]) == {"code", "severity", "message", "place", "notes", "help"}
    assert found[2]["place"] is None


# -- explain


def test_explain_a_leaf(folder: Path) -> None:
    text = run("explain", "leaves.seam", "TEST.TRACK", cwd=folder).stdout
    assert text.startswith("test_track: TEST.TRACK, leaf 38, by call\n\nDoes it for all.\n")
    assert "In C\n    u64 test_track(u64 page);\n" in text
    assert re.search(r"in +rcx +page\n", text)
    assert "At most 10 attempts: retry 9 on BUSY." in text
    assert "If the carry flag is set: returns DOWN." in text
    assert re.search(r"[0-9a-f]{4}  seamcall +leaves\.seam:\d+\b", text)
    assert "Instructions in .text" in text
    assert "a fault at" in text


def test_explain_shows_a_place_for_every_instruction(tmp_path: Path) -> None:
    text = run("explain", "tdx/host.seam", "TDH.MEM.PAGE.REMOVE", cwd=tmp_path).stdout
    lines = re.findall(r"^      [0-9a-f]{4}  .*$", text, re.MULTILINE)
    assert len(lines) > 10
    assert all(re.search(r" tdx/(host|conduits)\.seam:\d+", line) for line in lines)
    assert any(line.endswith("rcx = gpa | level;") for line in lines)


def test_explain_by_symbol_and_glob(folder: Path) -> None:
    by_leaf = call("explain", "leaves.seam", "TEST.READ", cwd=folder).stdout
    assert call("explain", "leaves.seam", "test_read", cwd=folder).stdout == by_leaf
    both = call("explain", "leaves.seam", "TEST.RE*", cwd=folder).stdout
    assert by_leaf in both
    assert "test_remove: TEST.REMOVE" in both


def test_explain_takes_the_options_of_compile(folder: Path) -> None:
    options = ["--target", "linux-user", "--deliver", "register", "--symbol-prefix", "my_"]
    options += ["--feature", "-fixup"]
    text = call("explain", "leaves.seam", "TEST.READ", *options, cwd=folder).stdout
    assert text.startswith("my_test_read: ")
    assert "endbr64" not in text
    assert "A fault is not caught" in text


def test_explain_a_mistyped_leaf(tmp_path: Path) -> None:
    done = run("explain", "tdx/host.seam", "TDH.MEM.PAGE.REMOV", cwd=tmp_path, status=2)
    assert "did you mean `TDH.MEM.PAGE.REMOVE`?" in done.stderr
    done = call("explain", "tdx/host.seam", "NOPE", cwd=tmp_path, status=2)
    assert "no leaf and no symbol matches `NOPE`" in done.stderr
    assert re.search(r"leaves are (TDH\.[A-Z.]+, ){3}TDH\.[A-Z.]+ and \d+ more\n", done.stderr)


def test_a_mistyped_name_of_an_imported_leaf(folder: Path) -> None:
    write(folder, "own.seam", 'import "leaves.seam";\nwrapper read = TEST.READ;\n')
    done = call("explain", "own.seam", "TEST.TRACKS", cwd=folder, status=2)
    assert "did you mean `TEST.TRACK`?" in done.stderr


def test_explain_without_leaf_says_which_there_are(folder: Path) -> None:
    done = call("explain", "leaves.seam", cwd=folder, status=2)
    assert "which leaf or symbol of leaves.seam?" in done.stderr
    assert "  TEST.REMOVE  test_remove\n  TEST.READ    test_read\n" in done.stderr
    write(folder, "one.seam", 'import "leaves.seam";\nwrapper only = TEST.READ;\n')
    assert call("explain", "one.seam", cwd=folder).stdout.startswith("only: TEST.READ")


def test_explain_a_code(tmp_path: Path) -> None:
    page = call("explain", "E0304", cwd=tmp_path).stdout
    assert "E0304" in page
    assert "```seam" in page
    assert call("explain", "e0304", cwd=tmp_path).stdout == page
    assert "W0503" in call("explain", "W0503", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["E9999"], "no error or warning is called E9999"),
        (["E0000"], "no error or warning is called E0000"),
        (["TDH.VP.INIT"], "there is no file `TDH.VP.INIT`; a leaf comes after its file"),
        (["../errors/E0304"], "there is no file `../errors/E0304`"),
        (["E0304", "x", "y"], "unexpected extra argument"),
        (["E0304", "x"], "E0304 is a code, not a file: nothing comes after it"),
        (["tdx/host.seam", "--leaf", "TDH.VP.INIT"], "No such option"),
        ([], "Missing argument 'FILE|CODE'"),
    ],
)
def test_explain_nothing_that_is_there(tmp_path: Path, words: list[str], message: str) -> None:
    assert message in call("explain", *words, cwd=tmp_path, status=2).stderr


# -- version and help


def test_version(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert re.fullmatch(r"seamir \d+\.\d+\.\d+\S*\n", done.stdout)
    for arguments in (["--version", "--verbose"], ["--verbose", "--version"]):
        lines = run(*arguments, cwd=tmp_path).stdout.splitlines()
        assert lines[0] + "\n" == done.stdout
        assert re.fullmatch(r"LLVM \d+\.\d+\.\d+ in llvmlite \S+", lines[1])
    assert "name a command" in run("--verbose", cwd=tmp_path, status=2).stderr


def test_help_names_every_command(tmp_path: Path) -> None:
    text = run("--help", cwd=tmp_path).stdout
    assert all(f"\n  {command} " in text for command in COMMANDS)
    assert run("-h", cwd=tmp_path).stdout == text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_examples_that_work(folder: Path, command: str) -> None:
    text = call(command, "--help", cwd=folder).stdout
    examples = re.findall(rf"^ +(seamir {command} .*)$", text, re.MULTILINE)
    assert examples
    if "build/host.o" in text:  # an example of another command makes it
        call("compile", "tdx/host.seam", "-o", "build", cwd=folder)
    for example in examples:
        call(*shlex.split(example)[1:], cwd=folder)


def test_every_option_has_help() -> None:
    for command in main.commands.values():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, parameter.name


# -- the world around


def test_a_defect_is_70(folder: Path) -> None:
    before = """
import seamir.compiler
def broken(*_, **__): raise ZeroDivisionError("planted")
seamir.compiler.load = broken
"""
    done = run("compile", "leaves.seam", cwd=folder, before=before, status=70)
    assert "seamir: defect: ZeroDivisionError: planted" in done.stderr
    assert "please report it" in done.stderr
    assert names_in(folder) == ["leaves.seam"]


@pytest.mark.parametrize("error", ["RecursionError", "MemoryError", "AssertionError"])
def test_other_defects_are_70_too(folder: Path, error: str) -> None:
    before = f"""
import seamir.outputs
def broken(*_): raise {error}
seamir.outputs.EmitContext.module = broken
"""
    run("compile", "leaves.seam", cwd=folder, before=before, status=70)


def test_an_interrupt_says_so_in_a_line(folder: Path) -> None:
    before = """
import os, signal, seamir.outputs
def interrupted(*_): os.kill(os.getpid(), signal.SIGINT)
seamir.outputs.EmitContext.module = interrupted
"""
    done = run("compile", "leaves.seam", cwd=folder, before=before, status=130)
    assert done.stderr.strip() == "seamir: interrupted"
    early = """
class Finder:
    def find_spec(self, name, *_):
        if name == "seamir.cli": raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
"""
    run("compile", "leaves.seam", cwd=folder, before=early, status=130)


def _shell(line: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    program = f'seamir() {{ {shlex.quote(sys.executable)} -m seamir "$@"; }}; {line}'
    return tools.run("bash", "-c", program, cwd=cwd, env=environment(env), status=None)


def test_a_reader_that_stops_early(tmp_path: Path) -> None:
    for reader in ("head -1", "true"):
        for buffering in ("", "1"):
            done = _shell(
                f"seamir list tdx/host.seam | {reader}", tmp_path, PYTHONUNBUFFERED=buffering
            )
            assert done.stderr == ""
    assert done.returncode == 0


def test_closed_streams(folder: Path) -> None:
    for line in ("seamir list leaves.seam >&-", "seamir compile leaves.seam >&- 2>&- <&-"):
        done = _shell(line, folder)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert symbols(folder / "leaves.o") == ["test_remove", "test_read", "test_track"]
    assert _shell("seamir check no.seam 2>&-", folder).returncode == 1


def test_a_full_disk_behind_the_standard_output(folder: Path) -> None:
    for command in ("list leaves.seam", "--help"):
        done = _shell(f"seamir {command} >/dev/full", folder)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "seamir: cannot write the output: No space left on device\n"


ARM = "import seamir.llvm.emit\nseamir.llvm.emit.host_architecture = lambda: 'aarch64'"


@pytest.mark.parametrize("kind", ["obj", "asm", "bitcode"])
def test_another_machine_cannot_generate_code(folder: Path, kind: str) -> None:
    arguments = ["compile", "leaves.seam", "--emit", f"header,{kind}"]
    done = run(*arguments, cwd=folder, before=ARM, status=1)
    assert "error[E0805]: code generation needs an x86-64 machine and this one is aarch64" in (
        done.stderr
    )
    assert names_in(folder) == ["leaves.seam"]


@pytest.mark.parametrize("kind", ["obj", "asm", "bitcode"])
def test_an_llvm_that_was_not_tested(folder: Path, kind: str) -> None:
    """It is refused before it makes other code or ends the process."""
    before = "from llvmlite import binding\nbinding.llvm_version_info = (20, 1, 8)"
    arguments = ["compile", "leaves.seam", "--emit", f"header,{kind}"]
    done = run(*arguments, cwd=folder, before=before, status=1)
    assert re.search(
        r"error\[E0804\]: code generation needs LLVM 22, and llvmlite \S+ has LLVM 20\.1\.8\n"
        r"  help: pip install seamir brings a llvmlite that fits\n",
        done.stderr,
    )
    assert names_in(folder) == ["leaves.seam"]
    run("compile", "leaves.seam", "--emit", "header", cwd=folder, before=before)


def test_another_machine_can_do_the_rest(folder: Path) -> None:
    run("compile", "leaves.seam", "--emit", "obj,header,manifest,llvm-ir", "-o", "here", cwd=folder)
    run("compile", "leaves.seam", "--emit", "header,manifest,llvm-ir", "-o", "there",
        cwd=folder, before=ARM)  # fmt: skip
    for name in ("leaves.h", "leaves.ll"):
        assert (folder / "there" / name).read_bytes() == (folder / "here" / name).read_bytes()
    here, there = manifest(folder / "here/leaves.json"), manifest(folder / "there/leaves.json")
    assert all(wrapper["cost"] is not None for wrapper in here.values())
    assert all(wrapper["cost"] is None for wrapper in there.values())
    assert run("check", "leaves.seam", cwd=folder, before=ARM).stderr == ""
    text = run("explain", "leaves.seam", "TEST.READ", cwd=folder, before=ARM).stdout
    assert "Operands and outputs" in text
    assert "The instructions can be shown on an x86-64 machine only." in text


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "xx_YY.nowhere", "PYTHONIOENCODING": "latin-1"},
    ],
)
def test_a_weird_locale(tmp_path: Path, env: dict[str, str]) -> None:
    run("compile", "--help", cwd=tmp_path, env=env)  # it has a ±
    write(tmp_path, "ünï.seam", LEAVES.replace("Reads a field", "Reads a ☃"))
    run("compile", "ünï.seam", "--emit", "obj,asm,header,manifest", cwd=tmp_path, env=env)
    assert names_in(tmp_path) == ["ünï.h", "ünï.json", "ünï.o", "ünï.s", "ünï.seam"]
    run("explain", "ünï.seam", "TEST.READ", cwd=tmp_path, env=env)
    write(tmp_path, "bad.seam", "type ☃ = u64;\n")
    run("check", "bad.seam", cwd=tmp_path, env=env, status=1)


def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "leaves.seam"
    write(tmp_path)
    path.rename(tmp_path / b"l\xff.seam".decode(errors="surrogateescape"))
    run("compile", b"l\xff.seam", "-o", "out", "--depfile", "out/d", "--emit",
        "obj,asm,llvm-ir,bitcode,header,manifest,docs", cwd=tmp_path)  # fmt: skip
    assert len(names_in(tmp_path / "out")) == 8
    assert b"/l\xff.seam" in (tmp_path / "out/d").read_bytes()
    for name in names_in(tmp_path / "out"):
        if not name.endswith((".o", ".bc", "d")):
            (tmp_path / "out" / name).read_bytes().decode()
    for command in ("list", "check"):
        run(command, b"l\xff.seam", cwd=tmp_path)
    run("explain", b"l\xff.seam", "TEST.READ", cwd=tmp_path)
    assert "no file `no\ufffd`" in run("compile", b"no\xff", cwd=tmp_path, status=1).stderr


# -- the documentation


def test_the_documentation_has_every_option() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    for name, command in main.commands.items():
        assert f"\n## {name}\n" in text
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for option in parameter.opts:
                    assert re.search(rf"{re.escape(option)}\b", text), option
    for word in (*seamir.TARGETS, *seamir.FEATURES, *seamir.list_outputs(), *DELIVERIES):
        assert f"`{word}`" in text, word
    for suffix in seamir.list_outputs().values():
        assert f"`{suffix}`" in text


def test_the_documentation_has_the_features_of_each_target() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    head = re.search(r"^\| feature \|(.*)\|.*\|$", text, re.MULTILINE)
    assert head is not None
    targets = re.findall(r"`([a-z-]+)`", head[1])
    assert targets == list(seamir.TARGETS)
    for feature in seamir.FEATURES:
        row = re.search(rf"^\| `{feature}` \|(.*)\|.*\|$", text, re.MULTILINE)
        assert row is not None
        cells = [cell.strip() for cell in row[1].split("|")]
        assert cells == [_switch(seamir.TARGETS[target], feature) for target in targets]


def _switch(target: seamir.Target, feature: str) -> str:
    """How the table says whether a target has a feature."""
    is_on = feature in target.features
    if feature in dict(target.fixed):
        return "always" if is_on else "never"
    return "on" if is_on else ""


def test_documented_commands_work(folder: Path) -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    seamir ((?:compile|check|list|explain|run) .*)$", text, re.MULTILINE)
    examples = [line for line in lines if not re.search(r"FILE|CODE", line)]
    assert len(examples) >= 12
    for line in examples:
        call(*shlex.split(line), cwd=folder)


MAIN = """
#include <stdio.h>
#include "host.h"
int catch_faults(void);
int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1 && catch_faults())
		return 1;
	printf("%llx\\n", (unsigned long long)tdh_mem_track(0));
	return 0;
}
"""


def test_the_documented_signal_handler(tmp_path: Path) -> None:
    """It compiles without warnings and plays faults; without it the program dies."""
    tools.need("gcc")
    tools.need_native()
    (handler,) = code_blocks(ROOT / "docs/cli.md", "c")
    write(tmp_path, "handler.c", handler)
    write(tmp_path, "main.c", MAIN)
    options = ["--target", "linux-user", "--emit", "obj,header"]
    call("compile", "tdx/host.seam", *options, cwd=tmp_path)
    warnings = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2"]
    for linking in ("-pie", "-no-pie"):
        files = ("handler.c", "main.c", "host.o")
        tools.run("gcc", *warnings, "-fPIE", linking, *files, "-o", "x", cwd=tmp_path)
        status = int(tools.run("./x", "1", cwd=tmp_path).stdout, 16)
        assert status in (TDX_SW_ERROR | 6, TDX_SW_ERROR | 13)  # #UD, #GP
        died = tools.run("./x", cwd=tmp_path, status=None)
        assert died.returncode in (-signal.SIGILL, -signal.SIGSEGV)
