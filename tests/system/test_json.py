"""JSON on request: its shapes, errors as data, and that it says what the words say."""

from __future__ import annotations

import json
import re
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from command_line import LEAVES, ROOT, call, names_in, read, run, write

from seamir.cli import main

SCHEMA = json.loads((files("seamir.emit") / "manifest.schema.json").read_text("utf-8"))
BAD = "type page = address;\n"
ARM = "import seamir.llvm.emit\nseamir.llvm.emit.host_architecture = lambda: 'aarch64'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good description, a bad one, and one that gets a warning."""
    write(tmp_path)
    write(tmp_path, "bad.seam", BAD)
    write(tmp_path, "many.seam", LEAVES.replace("retry 9", "retry 20000"))
    return tmp_path


def data(*arguments: str, cwd: Path, status: int = 0) -> Any:
    """What a command prints with --json; it says nothing else."""
    done = call(*arguments, "--json", cwd=cwd, status=status)
    assert done.stderr == ""
    return json.loads(done.stdout)


# -- the shapes that are documented


def examples() -> list[tuple[str, Any]]:
    """The commands of docs/cli.md that print JSON, each with what it shows."""
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text[text.index("\n## JSON\n") :], flags=re.M)[1]
    found = re.findall(r"^`seamir (.+? --json)`.*?^```json\n(.*?)^```$", section, re.M | re.S)
    assert len(found) == section.count("```json")
    return [(command, json.loads(shown)) for command, shown in found]


def assert_same_shape(shown: Any, real: Any, place: str) -> None:
    """Holds what is documented against what is printed: names, order and kinds, not values.

    Where the document shows nothing, an object or a list may have anything.
    """
    if shown is None or real is None:
        return
    assert type(shown) is type(real), place
    if isinstance(shown, dict) and shown:
        assert list(shown) == list(real), place
        for name in shown:
            assert_same_shape(shown[name], real[name], f"{place}.{name}")
    elif isinstance(shown, list) and shown:
        assert real, place
        for one in real:
            assert_same_shape(shown[0], one, f"{place}[]")


EXAMPLES = examples()


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_the_documented_shapes(folder: Path, command: str, shown: Any) -> None:
    write(folder, "twin.seam", LEAVES.replace("TEST.TRACK = 38", "TEST.TRACK = 39"))
    call("compile", "twin.seam", cwd=folder)
    is_bad = isinstance(shown, list) or shown.get("proved") is False
    done = call(*shlex.split(command), cwd=folder, status=1 if is_bad else 0)
    assert done.stderr == ""
    assert_same_shape(shown, json.loads(done.stdout), command.split(maxsplit=1)[0])


def test_every_command_prints_json_and_has_an_example() -> None:
    shown = {command.split()[0] for command, _ in EXAMPLES}
    commands = {name: main.commands[name] for name in main.commands if name != "completion"}
    assert shown == {*commands, "--version"}
    for command in commands.values():
        assert any("--json" in parameter.opts for parameter in command.params)


def test_an_example_shows_what_is_there(folder: Path) -> None:
    """Of those that do not depend on versions, every value."""
    for command, shown in EXAMPLES:
        if command.startswith(("check", "list")):
            status = 1 if command.startswith("check") else 0
            assert (
                json.loads(call(*shlex.split(command), cwd=folder, status=status).stdout) == shown
            )


# -- errors and warnings are data


WORDS = {
    "compile": ["compile", "bad.seam"],
    "check": ["check", "bad.seam"],
    "list": ["list", "bad.seam"],
    "explain": ["explain", "bad.seam", "X"],
    "run": ["run", "bad.seam", "X"],
    "verify": ["verify", "bad.seam"],
}


@pytest.mark.parametrize("command", WORDS)
def test_errors_are_data(folder: Path, command: str) -> None:
    errors = data(*WORDS[command], cwd=folder, status=1)
    places = {error["code"]: error["place"] for error in errors}
    assert places["E0201"]["line"] == 1
    assert "bad.o" not in names_in(folder)


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["compile", "leaves.seam", "--target", "x"], 2, "E0801"),
        (["compile", "leaves.seam", "-o", "leaves.seam/out"], 1, "E0808"),
        (["compile", "nowhere.seam"], 1, "E0101"),
        (["check", "nowhere.seam"], 1, "E0101"),
        (["check", "leaves.seam", "--leaf", "NOPE"], 2, "E0806"),
        (["list", "leaves.seam", "--reads", "r99"], 2, "E0809"),
        (["explain", "leaves.seam", "NOPE"], 2, "E0806"),
        (["explain", "E9999"], 2, "E0806"),
        (["run", "leaves.seam", "TEST.TRACK"], 2, "E0903"),
        (["run", "leaves.seam", "TEST.TRACK", "page=1", "--script", "NOPE"], 2, "E0905"),
    ],
)
def test_bad_requests_are_data(folder: Path, arguments: list[str], status: int, code: str) -> None:
    errors = data(*arguments, cwd=folder, status=status)
    assert [error["code"] for error in errors] == [code]


def test_errors_of_several_files_are_one_list(folder: Path) -> None:
    for command in ("compile", "check", "list"):
        errors = data(command, "bad.seam", "leaves.seam", "no.seam", "bad.seam", cwd=folder,
                      status=1)  # fmt: skip
        assert [error["code"] for error in errors] == ["E0201", "E0101"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["compile", "many.seam"],
        ["list", "many.seam"],
        ["explain", "many.seam", "TEST.TRACK"],
        ["run", "many.seam", "TEST.TRACK", "page=0"],
    ],
)
def test_warnings_are_data(folder: Path, arguments: list[str]) -> None:
    (warning,) = data(*arguments, cwd=folder)["warnings"]
    assert (warning["code"], warning["severity"]) == ("W0503", "warning")
    assert warning["place"]["file"] == "many.seam"
    done = call(*arguments, cwd=folder)
    assert "W0503" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "--json"], "Missing argument"),
        (["compile", "leaves.seam", "--json", "--bogus"], "No such option"),
        (["compile", "leaves.seam", "--json", "--emit", ""], "--emit names no output"),
        (["explain", "leaves.seam", "--json"], "which leaf or symbol of leaves.seam?"),
        (["--json", "list", "leaves.seam"], "--json comes after the command"),
        (["--json"], "name a command"),
    ],
)
def test_a_bad_command_line_is_said_in_words(
    folder: Path, arguments: list[str], message: str
) -> None:
    done = call(*arguments, cwd=folder, status=2)
    assert done.stdout == ""
    assert message in done.stderr


# -- each command


def test_compile(folder: Path) -> None:
    arguments = ("compile", "leaves.seam", "-o", "out", "--emit", "obj,header", "--depfile", "d")
    first = data(*arguments, cwd=folder)["files"]
    assert [(file["kind"], file["path"]) for file in first] == [
        ("obj", "out/leaves.o"),
        ("header", "out/leaves.h"),
        ("depfile", "d"),
    ]
    assert all(file["bytes"] == (folder / file["path"]).stat().st_size for file in first)
    assert all(file["changed"] for file in first)
    (folder / "out/leaves.h").write_text("")
    again = data(*arguments, cwd=folder)["files"]
    assert [file["changed"] for file in again] == [False, True, False]


def test_compile_writes_all_or_nothing(folder: Path) -> None:
    arguments = ("compile", "leaves.seam", "many.seam", "--leaf", "TEST.READ", "-o", "out")
    errors = data(*arguments, cwd=folder, status=1)
    assert [error["code"] for error in errors] == ["E0208"]
    assert not (folder / "out").exists()


def test_a_path_that_is_not_utf8(folder: Path) -> None:
    done = run("compile", "leaves.seam", "-o", b"out\xff", "--json", cwd=folder)
    assert json.loads(done.stdout)["files"][0]["path"] == "out\ufffd/leaves.o"


def test_check(folder: Path) -> None:
    assert data("check", "leaves.seam", cwd=folder) == []
    (warning,) = data("check", "many.seam", cwd=folder)
    assert warning["severity"] == "warning"


def test_explain_has_the_manifest_and_the_words(folder: Path) -> None:
    options = ("--symbol-prefix", "my_", "--target", "linux-user")
    arguments = ("explain", "leaves.seam", "TEST.*", *options)
    explained = data(*arguments, cwd=folder)
    jsonschema.Draft202012Validator(SCHEMA).validate(explained["manifest"])
    call("compile", "leaves.seam", "--emit", "obj,manifest", *options, cwd=folder)
    assert explained["manifest"] == json.loads((folder / "leaves.json").read_text())
    text = " ".join(call(*arguments, cwd=folder).stdout.split())
    assert len(explained["explanations"]) == 3
    for wrapper in explained["explanations"]:
        assert f"{wrapper['symbol']}: {wrapper['summary']}" in text
        sentences = [wrapper["prototype"], *wrapper["contract"], *wrapper["outcomes"]]
        assert all(" ".join(sentence.split()) in text for sentence in sentences)
        for row in wrapper["operands"]:
            assert " ".join(" ".join(row.values()).split()) in text
        for row in wrapper["arguments"]:
            assert " ".join(" ".join(row.values()).split()) in text


def test_explain_has_every_instruction_with_its_line(folder: Path) -> None:
    (wrapper,) = data("explain", "leaves.seam", "TEST.REMOVE", cwd=folder)["explanations"]
    call("compile", "leaves.seam", cwd=folder)
    function = read(folder / "leaves.o").function("test_remove")
    assert function is not None
    code = wrapper["code"]
    assert (code["section"], code["bytes"]) == (function.section, len(function.code))
    instructions = code["instructions"]
    assert bytes.fromhex("".join(one["bytes"] for one in instructions)) == function.code
    offset = 0
    lines = LEAVES.splitlines()
    for one in instructions:
        assert one["offset"] == offset
        offset += len(one["bytes"]) // 2
        assert one["file"] == "leaves.seam"
        assert lines[one["line"] - 1].strip().startswith(one["source"].removesuffix("..."))
    sources = {one["text"]: one["source"] for one in instructions}
    assert sources["mov edx, esi"] == "rdx[2:0] = level;"
    (fault,) = code["faults"]
    at = {one["offset"]: one for one in instructions}
    assert at[fault["offset"]]["text"] == "seamcall"
    assert fault["goes_on_at"] in {one["label"] for one in instructions}


def test_explain_has_the_type_id_if_there_is_one(folder: Path) -> None:
    def code(*switches: str) -> Any:
        (wrapper,) = data("explain", "leaves.seam", "TEST.REMOVE", *switches, cwd=folder)[
            "explanations"
        ]
        return wrapper["code"]

    assert code()["type_id"] is None
    call("compile", "leaves.seam", "--feature", "+kcfi", cwd=folder)
    function = read(folder / "leaves.o").function("test_remove")
    assert function is not None and function.type_id is not None
    assert code("--feature", "+kcfi")["type_id"] == function.type_id
    shown = call("explain", "leaves.seam", "TEST.REMOVE", "--feature", "+kcfi", cwd=folder).stdout
    assert f" bytes, type id {function.type_id:#010x}\n" in shown


def test_explain_on_another_machine(folder: Path) -> None:
    done = run("explain", "leaves.seam", "TEST.READ", "--json", cwd=folder, before=ARM)
    explained = json.loads(done.stdout)
    assert explained["explanations"][0]["code"] is None
    assert explained["manifest"]["wrappers"][0]["cost"] is None


def test_explain_a_code(folder: Path) -> None:
    page = call("explain", "W0503", cwd=folder).stdout
    assert data("explain", "w0503", cwd=folder) == {
        "code": "W0503",
        "title": "many attempts",
        "page": page,
    }


def test_version(folder: Path) -> None:
    words = call("--version", "--verbose", cwd=folder).stdout
    versions = data("--version", "--verbose", cwd=folder)
    assert words == (
        f"seamir {versions['seamir']}\nLLVM {versions['llvm']} in llvmlite {versions['llvmlite']}\n"
        f"Python {versions['python']}\n"
        f"library {versions['library']}\n"
    )
    assert data("--version", cwd=folder) == {"seamir": versions["seamir"]}
