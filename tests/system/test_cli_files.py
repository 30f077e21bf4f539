"""The files that `seamir compile` writes: whole or not at all, the same bytes wherever it runs."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import textwrap
import time
from pathlib import Path

import pytest
import tools
from command_line import LEAVES, ROOT, call, environment, names_in, run, symbols, write

ALL = "obj,asm,llvm-ir,bitcode,header,manifest,docs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with leaves.seam in it."""
    write(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files in a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# -- the same bytes


def test_outputs_depend_on_nothing_but_the_input(tmp_path: Path) -> None:
    main = 'import "sub/shared.seam";\nwrapper read = TEST.READ;\nwrapper remove = TEST.REMOVE;\n'
    for place in ("here", "some where/else ü"):
        write(tmp_path / place, "main.seam", main)
        write(tmp_path / place, "sub/shared.seam")
    deep = tmp_path / "some where/else ü"
    runs: list[tuple[Path, str | Path, dict[str, str]]] = [
        (tmp_path / "here", "main.seam", {"PYTHONHASHSEED": "1"}),
        (tmp_path / "here", "./main.seam", {"PYTHONHASHSEED": "2", "TZ": "Asia/Kathmandu"}),
        (tmp_path, "here/main.seam", {"LC_ALL": "C", "PYTHONHASHSEED": "3"}),
        (tmp_path, deep / "main.seam", {"LANG": "tr_TR.UTF-8", "PYTHONUTF8": "0"}),
        (deep, tmp_path / "here/main.seam", {"HOME": str(tmp_path), "USER": "x"}),
        (deep, deep / "main.seam", {"XDG_CACHE_HOME": "/dev/null", "SOURCE_DATE_EPOCH": "7"}),
        (deep / "sub", "../main.seam", {"PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "4"}),
    ]
    found = []
    for number, (cwd, name, env) in enumerate(runs):
        out = tmp_path / f"out{number}"
        run("compile", name, "-o", out, "--emit", ALL, "--depfile", out / "d", cwd=cwd, env=env)
        (out / "d").unlink()
        found.append(contents(out))
    assert len(found[0]) == 7
    for other in found[1:]:
        assert other == found[0]
    for data in found[0].values():
        assert str(tmp_path).encode() not in data


def test_the_order_of_outputs_does_not_matter(folder: Path) -> None:
    call("compile", "leaves.seam", "-o", "a", "--emit", ALL, cwd=folder)
    backwards = ",".join(reversed(ALL.split(",")))
    call("compile", "leaves.seam", "-o", "b", "--emit", backwards, cwd=folder)
    for kind in ALL.split(","):
        call("compile", "leaves.seam", "-o", "c", "--emit", kind, cwd=folder)
    assert contents(folder / "a") == contents(folder / "b") == contents(folder / "c")


def test_the_name_of_the_file_is_all_that_outputs_say_of_it(folder: Path) -> None:
    call("compile", "leaves.seam", "-o", "a", "--emit", ALL, cwd=folder)
    shutil.copy(folder / "leaves.seam", folder / "zebra.seam")
    call("compile", "zebra.seam", "-o", "b", "--emit", ALL, cwd=folder)
    for suffix in (".s", ".ll", ".h", ".json", ".md"):
        one = (folder / f"a/leaves{suffix}").read_text()
        two = (folder / f"b/zebra{suffix}").read_text()
        assert two.replace("zebra", "leaves").replace("ZEBRA", "LEAVES") == one


# -- written only when changed


def test_unchanged_files_keep_their_time(folder: Path) -> None:
    call("compile", "leaves.seam", "--emit", ALL, "--depfile", "d", cwd=folder)
    made = [folder / name for name in names_in(folder)]
    for path in made:
        os.utime(path, ns=(1_000, 2_000))
    call("compile", "leaves.seam", "--emit", ALL, "--depfile", "d", cwd=folder)
    assert len(made) == 9
    assert {path.stat().st_mtime_ns for path in made} == {2_000}
    write(folder, text=LEAVES.replace("Reads a field", "Reads something"))  # documentation only
    call("compile", "leaves.seam", "--emit", ALL, "--depfile", "d", cwd=folder)
    changed = {path.suffix for path in made if path.stat().st_mtime_ns != 2_000}
    assert changed == {".seam", ".h", ".json", ".md"}


def test_new_files_have_the_usual_permissions(folder: Path) -> None:
    mask = os.umask(0o027)
    try:
        call("compile", "leaves.seam", cwd=folder)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((folder / "leaves.o").stat().st_mode) == 0o640


# -- none on failure


def test_nothing_is_written_on_failure(folder: Path) -> None:
    write(folder, "bad.seam", "type a = nothing;")
    call("compile", "leaves.seam", "bad.seam", "-o", "out", cwd=folder, status=1)
    assert not (folder / "out").exists()


def test_old_outputs_survive_a_failure(folder: Path) -> None:
    call("compile", "leaves.seam", "--emit", ALL, cwd=folder)
    before = contents(folder)
    bad = LEAVES + "type a = nothing;"
    write(folder, text=bad)
    call("compile", "leaves.seam", "--emit", ALL, cwd=folder, status=1)
    assert contents(folder) == {**before, "leaves.seam": bad.encode()}


def test_an_output_that_is_a_folder(folder: Path) -> None:
    (folder / "leaves.h").mkdir()
    done = call("compile", "leaves.seam", "--emit", "obj,header", cwd=folder, status=1)
    assert "error[E0808]: cannot write `leaves.h`: it is a directory" in done.stderr
    assert names_in(folder) == ["leaves.seam"]


def test_a_folder_that_is_a_file(folder: Path) -> None:
    done = call("compile", "leaves.seam", "-o", "leaves.seam/out", cwd=folder, status=1)
    assert "cannot write `leaves.seam/out/leaves.o`: Not a directory" in done.stderr
    call("compile", "leaves.seam", "-o", "leaves.seam", cwd=folder, status=2)


def test_a_device_is_not_replaced(folder: Path) -> None:
    os.mkfifo(folder / "leaves.o")
    done = call("compile", "leaves.seam", cwd=folder, status=1)
    assert "cannot write `leaves.o`: it is not a regular file" in done.stderr
    done = call(
        "compile", "leaves.seam", "-o", "out", "--depfile", "/dev/null", cwd=folder, status=1
    )
    assert "cannot write `/dev/null`: it is not a regular file" in done.stderr
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_folder_without_permission(folder: Path) -> None:
    if os.geteuid() == 0:
        done = call("compile", "leaves.seam", "-o", "/proc/seamir", cwd=folder, status=1)
    else:
        (folder / "out").mkdir(mode=0o500)
        done = call("compile", "leaves.seam", "-o", "out", cwd=folder, status=1)
    assert "error[E0808]: cannot write `" in done.stderr


def test_a_link_is_followed(folder: Path) -> None:
    (folder / "there").mkdir()
    (folder / "leaves.o").symlink_to("there/real.o")
    call("compile", "leaves.seam", cwd=folder)
    assert (folder / "leaves.o").is_symlink()
    assert symbols(folder / "there/real.o") == ["test_remove", "test_read", "test_track"]


def test_an_input_is_not_replaced(folder: Path) -> None:
    shutil.copy(folder / "leaves.seam", folder / "leaves.o")
    write(folder, "x/leaves", 'import "inc.seam";\n' + LEAVES)
    write(folder, "x/inc.seam", "const A = 1;\n")
    (folder / "x/leaves.o").symlink_to("inc.seam")
    before = contents(folder / "x")
    done = call("compile", "leaves", cwd=folder / "x", status=1)
    assert "the output `leaves.o` would replace an input" in done.stderr
    done = call("compile", "leaves", "-o", "out", "--depfile", "leaves", cwd=folder / "x", status=1)
    assert "the output `leaves` would replace an input" in done.stderr
    assert contents(folder / "x") == before


# -- several files


def test_the_same_stem_twice(folder: Path) -> None:
    write(folder, "sub/leaves.seam", LEAVES.replace("TEST.", "SUB."))
    done = call("compile", "leaves.seam", "sub/leaves.seam", "-o", "out", cwd=folder, status=1)
    assert "E0808" in done.stderr
    assert (
        "`leaves.seam` and `sub/leaves.seam` would be written under the same names" in done.stderr
    )
    done = call("compile", "leaves.seam", "./leaves.seam", "-o", "out", cwd=folder, status=1)
    assert "is named twice" in done.stderr
    assert not (folder / "out").exists()


def test_a_symbol_defined_by_two_files(folder: Path) -> None:
    shutil.copy(folder / "leaves.seam", folder / "more.seam")
    done = call("compile", "leaves.seam", "more.seam", "-o", "out", cwd=folder, status=1)
    assert "error[E0208]: two files define test_remove" in done.stderr
    assert "more.seam:19:6: error" in done.stderr
    assert "leaves.seam:19:6: note: the first is here" in done.stderr
    assert not (folder / "out").exists()


# -- the depfile


def test_make_understands_the_depfile(tmp_path: Path) -> None:
    """Builds with make in a folder whose name has every character that needs care."""
    folder = tmp_path / "a b#c$d:e'f\\g (h)"
    write(folder, "sub folder/shared.seam")
    text = 'import "shared.seam";\nwrapper read = TEST.READ;\n'
    write(folder, "main.seam", text)
    command = ["compile", "main.seam", "-I", "sub folder", "-o", "out", "--emit", "obj,header"]
    run(*command, "--depfile", "out/main.d", cwd=folder)
    rule = (folder / "out/main.d").read_text()
    for path in ("out/main.o", "out/main.h", "main.seam", "sub\\ folder/shared.seam"):
        assert path in rule

    def make() -> str:
        (folder / "out/rule.mk").write_text(f"{rule}\t@echo remade\n")
        return tools.run("make", "-f", "out/rule.mk", cwd=folder).stdout

    assert "remade" not in make()
    for changed in ("main.seam", "sub folder/shared.seam"):
        times = (folder / "out/main.o").stat().st_mtime
        os.utime(folder / changed, (times + 10, times + 10))
        assert "remade" in make()
        os.utime(folder / changed, (times - 10, times - 10))
    (folder / "out/main.o").unlink()
    assert "remade" in make()


def documented(start: str, end: str) -> str:
    """An indented block of docs/cli.md, by the start of its first and of its last line."""
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    found = re.search(rf"^    {start}.*?^    {end}[^\n]*\n", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return textwrap.dedent(found[0])


def project(folder: Path) -> dict[str, str]:
    """Copies the library into a folder as host.seam and files that it imports; `seamir` to run."""
    shutil.copytree(ROOT / "seamir/leaves/tdx", folder / "tdx")
    shutil.copy(folder / "tdx/host.seam", folder / "host.seam")
    script = write(folder, "bin/seamir", f'#!/bin/sh\nexec "{sys.executable}" -m seamir "$@"\n')
    script.chmod(0o755)
    return environment({"PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}"})


def rebuilds(command: list[str], folder: Path, env: dict[str, str]) -> None:
    """The command builds, is then up to date, and builds again when a file read is touched."""

    def built() -> bool:
        return "seamir compile" in tools.run(*command, cwd=folder, env=env).stdout

    assert built()
    assert {"host.h", "host.o"} <= set(names_in(folder / "build"))
    assert not built()
    for name in ("tdx/conduits.seam", "host.seam"):
        time.sleep(0.02)
        (folder / name).touch()
        assert built(), name
        assert not built(), name


def test_the_documented_makefile(tmp_path: Path) -> None:
    env = project(tmp_path)
    write(tmp_path, "Makefile", documented("build/host.o build/host.h &:", "-include"))
    rebuilds(["make"], tmp_path, env)


def test_the_documented_ninja_file(tmp_path: Path) -> None:
    tools.need("ninja")
    env = project(tmp_path)
    write(tmp_path, "build.ninja", documented("rule seam", "build build/host.o"))
    rebuilds(["ninja", "-v"], tmp_path, env)


def test_the_depfile_names_everything_read(tmp_path: Path) -> None:
    call("compile", "tdx/host.seam", "-o", "out", "--depfile", "deps/host.d", cwd=tmp_path)
    targets, _, sources = (tmp_path / "deps/host.d").read_text().partition(":")
    assert targets == f"out/host.o {tmp_path / 'out/host.o'}"
    names = {"/".join(Path(path).parts[-2:]) for path in sources.split()}
    assert names == {"tdx/conduits.seam", "tdx/host.seam", "tdx/status.seam", "tdx/types.seam"}
    assert all(Path(path).is_file() for path in sources.split())


def test_the_depfile_of_several_files(folder: Path) -> None:
    write(folder, "more.seam", LEAVES.replace("TEST.", "MORE."))
    call("compile", "leaves.seam", "more.seam", "--depfile", "d", cwd=folder)
    names = ["leaves.o", "more.o", "leaves.o", "more.o:", "leaves.seam", "more.seam"]
    assert [Path(word).name for word in (folder / "d").read_text().split()] == names


def test_the_depfile_is_no_output(folder: Path) -> None:
    done = call("compile", "leaves.seam", "--depfile", "leaves.o", cwd=folder, status=1)
    assert "the depfile would replace the output `leaves.o`" in done.stderr
    (folder / "link").symlink_to("leaves.o")
    done = call("compile", "leaves.seam", "--depfile", "link", cwd=folder, status=1)
    assert "the depfile would replace the output `leaves.o`" in done.stderr
    assert names_in(folder) == ["leaves.seam"]


@pytest.mark.parametrize("character", ["\n", "\t", ";", "%", "=", "|"])
def test_what_no_rule_can_name(tmp_path: Path, character: str) -> None:
    folder = write(tmp_path / f"a{character}b").parent
    done = call("compile", "leaves.seam", "--depfile", "d", cwd=folder, status=1)
    assert "a depfile cannot name" in done.stderr
    assert names_in(folder) == ["leaves.seam"]
    call("compile", "leaves.seam", cwd=folder)
