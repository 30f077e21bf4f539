"""Disks that are full or read-only and folders of others: a clear error, and nothing changes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from command_line import ROOT, environment
from tools import run

SUFFIXES = [".o", ".s", ".ll", ".h", ".json", ".md"]  # in the order in which outputs are written


@cache
def may_mount() -> bool:
    """Whether this process may mount in a name space of its own."""
    if shutil.which("unshare") is None or os.geteuid() != 0:
        return False
    command = ("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")
    return run(*command, status=None).returncode == 0


def play(name: str, folder: Path) -> list[dict[str, Any]]:
    """The reports of a scenario of `disk_scenarios`."""
    if not may_mount():
        pytest.skip("mounting needs root, and unshare of util-linux")
    command = ("unshare", "--mount", sys.executable, ROOT / "tests/disk_scenarios.py", name)
    done = run(*command, folder, env=environment())
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused(report: dict[str, Any], reason: str) -> str:
    """Which output could not be written, as the one error says; nothing else has changed."""
    assert report["after"] == report["before"]
    assert report["all"] == sorted(report["before"]), "something is left over"
    ((code, message),) = report["said"]
    assert code == "E0808"
    assert message.startswith("cannot write `") and message.endswith(f"`: {reason}")
    return Path(message.split("`")[1]).suffix


def test_a_full_disk(tmp_path: Path) -> None:
    reports = play("full", tmp_path / "disk")
    failed = [report for report in reports if report["said"]]
    wrong = {refused(report, "No space left on device") for report in failed}
    assert wrong == set(SUFFIXES), "the disk is full at each output in turn"
    assert any(report["before"] for report in failed), "there were old outputs"
    written = [report for report in reports if not report["said"]]
    assert written[0]["before"] == {}
    assert written[-1]["before"] != {}
    assert all(len(report["all"]) == len(SUFFIXES) for report in written)


def test_a_disk_without_room_for_names(tmp_path: Path) -> None:
    reports = play("without_names", tmp_path / "disk")
    wrong = [refused(report, "No space left on device") for report in reports if report["said"]]
    assert wrong == [".o", *SUFFIXES]  # first not even the folder in which they wait
    assert not reports[-1]["said"]


def test_a_read_only_disk(tmp_path: Path) -> None:
    other, same = play("read_only", tmp_path / "disk")
    assert refused(other, "Read-only file system") == ".o"
    assert same["said"] is None, "what is there already need not be written"


def test_what_cannot_be_replaced_stops_all(tmp_path: Path) -> None:
    """Those before it were renamed into their places by then, and come back."""
    reports = play("busy", tmp_path / "disk")
    wrong = [refused(report, "Device or resource busy") for report in reports]
    assert wrong == SUFFIXES


def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    other, same = play("of_another", tmp_path / "disk")
    assert refused(other, "Permission denied") == ".o"
    assert same["said"] is None


def test_what_the_command_says(tmp_path: Path) -> None:
    place = tmp_path / "disk/leaves.o"
    full, read_only = play("by_command", tmp_path / "disk")
    for report, reason in ((full, "No space left on device"), (read_only, "Read-only file system")):
        assert report["status"] == 1
        assert report["said"] == f"seamir: error[E0808]: cannot write `{place}`: {reason}\n"
