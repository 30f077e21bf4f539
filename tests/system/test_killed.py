"""A compiler that is killed: each output is as it was or complete, and the next run cleans up."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import tools
from command_line import LEAVES, ROOT, environment, names_in, run, write

ALL = "obj,asm,llvm-ir,header,manifest,docs"
PARTS = ("leaves", "deps", "there")  # what the names of outputs begin with


def test_killed_at_each_system_call(tmp_path: Path) -> None:
    """In front of each that makes, renames or removes something, and in the middle of writes."""
    command = (sys.executable, ROOT / "tests/killed_writer.py", tmp_path / "out")
    done = tools.run(*command, env=environment())
    first, *deaths = [json.loads(line) for line in done.stdout.splitlines()]
    before, wanted = first["before"], first["wanted"]
    assert [death["status"] for death in deaths[:-1]] == [signal.SIGKILL] * (len(deaths) - 1)
    assert deaths[-1]["status"] == 0
    assert len(deaths) > 40
    changed = {name for name in wanted if before.get(name) != wanted[name]}
    assert len(changed) == 8
    states = set()
    for death in deaths:
        left = {name: text for name, text in death["left"].items() if name.startswith(PARTS)}
        for name in before.keys() | wanted.keys():
            assert left.get(name) in (before.get(name), wanted[name]), f"{name} is half written"
        states.add(sum(left.get(name) == wanted[name] for name in changed))
        assert death["then"] == wanted
        assert not [name for name in death["all"] if not name.startswith(PARTS)]
    assert len(states) == 8, "outputs appear one by one, but for one with two names"


def test_killed_at_any_moment(tmp_path: Path) -> None:
    write(tmp_path)
    command = ["compile", "leaves.seam", "--emit", ALL, "-o"]
    begin = time.monotonic()
    run(*command, "wanted", cwd=tmp_path)
    seconds = time.monotonic() - begin
    wanted = contents(tmp_path / "wanted")
    moments = random.Random(4)
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-m", "seamir", *command, "out"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(timeout=moments.uniform(0.5, 1.1) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=100)
        left = contents(tmp_path / "out") if (tmp_path / "out").exists() else {}
        assert all(text == wanted[name] for name, text in left.items() if name.startswith("leaves"))
    run(*command, "out", cwd=tmp_path)
    assert contents(tmp_path / "out") == wanted
    assert sorted(os.listdir(tmp_path / "out")) == sorted(os.listdir(tmp_path / "wanted"))


def contents(folder: Path) -> dict[str, str]:
    """Digests of the files in a folder by name."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names_in(folder)
    }


def test_what_lives_is_not_cleaned_up(tmp_path: Path) -> None:
    """A process that is still writing keeps its folder, whoever else writes there."""
    write(tmp_path)
    stop = "import os; os.replace = lambda *_: (print('here', flush=True), input())"
    program = f"import sys\n{stop}\nfrom seamir.__main__ import run\nrun()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "compile", "leaves.seam"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        (mine,) = tmp_path.glob(".seamir-*.tmp")
        run("compile", "leaves.seam", "--emit", "header", cwd=tmp_path)
        assert [path.name for path in mine.iterdir()] == ["0"]
        process.kill()
    run("compile", "leaves.seam", "--emit", "header", cwd=tmp_path)
    assert names_in(tmp_path) == ["leaves.h", "leaves.seam"]
    assert not mine.exists()


def test_only_own_folders_are_cleaned_up(tmp_path: Path) -> None:
    write(tmp_path)
    names = [".seamir-0.tmp", ".seamir-0123456789abcdef.tmp.old", "x.seamir-0123456789abcdef.tmp"]
    for name in names:
        write(tmp_path / name, "file", "mine")
    write(tmp_path, ".seamir-fedcba9876543210.tmp", "a file")
    (tmp_path / ".seamir-0000000000000000.tmp").symlink_to(tmp_path / names[0])
    write(tmp_path / ".seamir-0123456789abcdef.tmp", "0", "left behind")
    before = set(names_in(tmp_path))
    run("compile", "leaves.seam", cwd=tmp_path)
    after = set(names_in(tmp_path))
    assert before - after == {".seamir-0123456789abcdef.tmp/0"}
    assert after - before == {"leaves.o"}
    assert (tmp_path / "leaves.seam").read_text() == LEAVES
