"""`seamir list` as a user runs it: the table, the searches, JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call, run, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with leaves.seam in it."""
    write(tmp_path)
    return tmp_path


LIST = """\
SYMBOL       LEAF         NUMBER  VERSION  CONDUIT  ATTEMPTS  ARGUMENTS
test_remove  TEST.REMOVE      29        0  call            1  page, level, *first, *second
test_read    TEST.READ        11        0  call            1  field, *data
test_track   TEST.TRACK       38        0  call           10  page
"""


def test_list(folder: Path) -> None:
    done = run("list", "leaves.seam", cwd=folder)
    assert (done.stdout, done.stderr) == (LIST, "")


def test_list_chooses_like_compile(folder: Path) -> None:
    arguments = ["--leaf", "*.READ", "--conduit", "call=other_call"]
    lines = call("list", "leaves.seam", *arguments, cwd=folder).stdout.splitlines()
    assert len(lines) == 2
    assert "other_call" in lines[1]


def test_list_fits_a_wide_terminal(tmp_path: Path) -> None:
    """But for the arguments of leaves that have many, in the last column."""
    lines = run("list", "tdx/host.seam", cwd=tmp_path).stdout.splitlines()
    assert len(lines) > 100
    assert lines[0].index("ARGUMENTS") <= 100
    assert sorted(len(line) for line in lines)[len(lines) // 2] <= 132


def symbols_of(table: str) -> list[str]:
    """The first column of a list, without its head."""
    return [line.split()[0] for line in table.splitlines()[1:]]


@pytest.mark.parametrize(
    ("options", "symbols"),
    [
        (["--reads", "rcx"], ["test_remove", "test_track"]),
        (["--reads", "rcx", "--reads", "rdx"], ["test_remove"]),
        (["--writes", "r8"], ["test_read"]),
        (["--status", "BUSY"], ["test_track"]),
        (["--status", "DOWN"], ["test_remove", "test_read", "test_track"]),
        (["--effect", "none"], ["test_remove", "test_read", "test_track"]),
        (["--effect", "global"], []),
        (["--leaf-version", "0"], ["test_remove", "test_read", "test_track"]),
        (["--leaf-version", "1"], []),
        (["--since", "1.0"], []),
        (["--via", "call", "--leaf", "*.TRACK"], ["test_track"]),
        (["--via", "call", "--conduit", "call=other_call", "--writes", "rdx"], ["test_remove"]),
    ],
)
def test_list_searches(folder: Path, options: list[str], symbols: list[str]) -> None:
    done = call("list", "leaves.seam", *options, cwd=folder)
    assert symbols_of(done.stdout) == symbols
    assert done.stderr == ""


def test_list_searches_all_files_together(folder: Path) -> None:
    done = call("list", "leaves.seam", "tdx/host.seam", "--status", "BUSY", cwd=folder)
    assert symbols_of(done.stdout) == ["test_track"]
    done = call("list", "leaves.seam", "tdx/host.seam", "--since", "1.5.05", cwd=folder)
    found = symbols_of(done.stdout)
    assert "tdh_vp_init" in found  # version 1
    assert not {"tdh_vp_init_v0", "test_track", "tdh_mem_page_remove"} & set(found)


def test_list_as_json(folder: Path) -> None:
    done = call("list", "leaves.seam", "--json", "--writes", "r8", cwd=folder)
    (row,) = json.loads(done.stdout)["wrappers"]
    assert (row["symbol"], row["number"], row["attempts"]) == ("test_read", "0xb", 1)
    assert row["reads"] == ["rax", "rdx"]
    done = call("list", "leaves.seam", "--json", "--since", "1", cwd=folder)
    assert json.loads(done.stdout) == {"wrappers": [], "warnings": []}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reads", "r16"], "error[E0809]: --reads r16: there is no register of this name"),
        (["--status", "BUSSY"], "help: did you mean `BUSY`?"),
        (["--via", "cal"], "error[E0803]: --via cal: no leaf here goes by a conduit"),
        (["--since", "new"], "error[E0809]: --since new: this is not a version"),
        (["--effect", "local"], "'local' is not one of 'global', 'none'"),
        (["--leaf-version", "-1"], "-1 is not in the range x>=0"),
        (["--leaf-version", "one"], "'one' is not a valid integer"),
    ],
)
def test_list_searches_for_what_there_is_not(
    folder: Path, options: list[str], message: str
) -> None:
    done = call("list", "leaves.seam", *options, cwd=folder, status=2)
    assert done.stdout == ""
    assert message in done.stderr
