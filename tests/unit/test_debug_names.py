"""Names of files in debug data, and the option that maps them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_line import LEAVES, call, run

import seamir
from seamir.objects.reading import read_object
from seamir.source import mapped_name


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        ((), "tdx/host.seam"),
        ((("tdx", "/usr/src/tdx"),), "/usr/src/tdx/host.seam"),
        ((("", "/usr/src/"),), "/usr/src/tdx/host.seam"),
        ((("host", "guest"),), "tdx/host.seam"),
        ((("tdx/h", "g"), ("tdx", "a")), "a/host.seam"),
        ((("tdx", "a"), ("tdx/h", "g")), "gost.seam"),
        ((("tdx", "a"), ("a", "b")), "a/host.seam"),
        ((("tdx/host.seam", "x"),), "x"),
    ],
)
def test_the_last_prefix_that_fits_counts(
    prefixes: tuple[tuple[str, str], ...], expected: str
) -> None:
    assert mapped_name("tdx/host.seam", prefixes) == expected


def files_of(path: Path) -> set[str]:
    contents = read_object(path.read_bytes())
    return {entry.file for function in contents.functions for entry in function.lines}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "leaves.seam").write_text(LEAVES)
    return tmp_path


def test_the_option_maps_names(folder: Path) -> None:
    options = ("--debug-prefix-map", "leaves=a=b", "--emit", "obj,asm,llvm-ir,header,manifest")
    call("compile", "leaves.seam", *options, cwd=folder)
    # As for gcc, the last = divides the two: no name begins with "leaves=a".
    assert files_of(folder / "leaves.o") == {"leaves.seam"}
    before = {path.suffix: path.read_bytes() for path in folder.glob("leaves.*")}
    call("compile", "leaves.seam", *options, "--debug-prefix-map", "leaves=/x/l", cwd=folder)
    assert files_of(folder / "leaves.o") == {"/x/l.seam"}
    after = {path.suffix: path.read_bytes() for path in folder.glob("leaves.*")}
    assert {suffix for suffix in after if after[suffix] != before[suffix]} == {".o", ".s", ".ll"}
    assembly = after[".s"].decode()
    assert '"/x/l.seam"' in assembly
    assert "# leaves.seam:19: leaf TEST.REMOVE" in assembly


def test_of_two_options_the_last_counts(folder: Path) -> None:
    one, other = ("--debug-prefix-map", "leaves=a"), ("--debug-prefix-map", "=b/")
    call("compile", "leaves.seam", *one, *other, cwd=folder)
    assert files_of(folder / "leaves.o") == {"b/leaves.seam"}
    call("compile", "leaves.seam", *one, *other, *one, cwd=folder)
    assert files_of(folder / "leaves.o") == {"a.seam"}


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    """As in all names of files, on both sides of the option."""
    name = b"l\xff.seam".decode(errors="surrogateescape")
    (tmp_path / name).write_text(LEAVES)
    options = ("--debug-prefix-map", os.fsdecode(b"l\xff=\xfe"), "-o", "out", "--emit", "obj,asm")
    run("compile", name, *options, cwd=tmp_path)
    (path,) = (tmp_path / "out").glob("*.o")
    assert files_of(path) == {"\ufffd.seam"}
    # The assembly finds the lines of the description again.
    assert "leaf TEST.REMOVE = 29" in path.with_suffix(".s").read_text(encoding="utf-8")


def test_an_option_without_two_sides_is_refused(folder: Path) -> None:
    done = run("compile", "leaves.seam", "--debug-prefix-map", "leaves", cwd=folder, status=2)
    assert "`leaves` is not OLD=NEW" in done.stderr
    assert not (folder / "leaves.o").exists()


def test_the_keyword_of_the_library_does_the_same() -> None:
    program = seamir.load("tdx/seamldr.seam")
    made = seamir.compile(program, debug_prefix_map={"": "/s/", "tdx/seamldr": "/x"})
    files = {entry.file for function in made.object_file.functions for entry in function.lines}
    assert "/x.seam" in files
    assert "/s/tdx/conduits.seam" in files
    plain = seamir.compile(program)
    assert [one.code for one in plain.object_file.functions] == [
        one.code for one in made.object_file.functions
    ]


def test_without_debug_data_there_is_nothing_to_map() -> None:
    program = seamir.load("tdx/seamldr.seam")
    without = seamir.compile(program, debug=False)
    mapped = seamir.compile(program, debug=False, debug_prefix_map={"tdx": "/x"})
    assert without.outputs["obj"].data == mapped.outputs["obj"].data
