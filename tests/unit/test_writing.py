"""Writing files: whole or not at all, and the rules of depfiles."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from seamir.diagnostics import SeamError
from seamir.writing import depfile_text, write_files


def names_in(folder: Path) -> list[str]:
    """The names of everything in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def message_of(function: Callable[[], object]) -> str:
    """The message of the one error that the function raises."""
    with pytest.raises(SeamError) as caught:
        function()
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0808"
    return diagnostic.message


def test_files_and_folders_are_made(tmp_path: Path) -> None:
    files = {tmp_path / "a/b/one": b"1", tmp_path / "two": b""}
    assert list(write_files(files).items()) == [(path, True) for path in files]
    assert {path: path.read_bytes() for path in files} == files
    assert names_in(tmp_path) == ["a", "two"]
    assert names_in(tmp_path / "a/b") == ["one"]


def test_only_changed_files_are_written(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_files({one: b"1", two: b"2"})
    for path in (one, two):
        os.utime(path, ns=(5, 5))
    changed = write_files({one: b"1", two: b"3"})  # of the same size
    assert changed == {one: False, two: True}
    assert one.stat().st_mtime_ns == 5
    assert two.stat().st_mtime_ns != 5
    assert two.read_bytes() == b"3"


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    write_files({tmp_path / ("n" * 255): b"1"})
    message = message_of(lambda: write_files({tmp_path / ("n" * 256): b"1"}))
    assert message.endswith("File name too long")


def test_what_cannot_be_written_stops_all(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    good = tmp_path / "good"
    bad = {
        "folder": "it is a directory",
        "good/below": "Not a directory",
        "with\0nul": "embedded null",
        "loop/x": "Not a directory",
    }
    (tmp_path / "loop").symlink_to("loop")
    good.write_bytes(b"old")
    before = names_in(tmp_path)
    for name, reason in bad.items():
        path = tmp_path / name
        assert reason in message_of(lambda path=path: write_files({good: b"new", path: b"x"}))  # type: ignore[misc]  # untyped default
        assert good.read_bytes() == b"old"
        assert names_in(tmp_path) == before


def test_no_space_leaves_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {tmp_path / name: b"x" for name in "abc"}
    real = os.fdopen
    opened: list[int] = []

    def full(descriptor: int, mode: str) -> object:
        opened.append(descriptor)
        if len(opened) == 3:
            os.close(descriptor)
            raise OSError(28, "No space left on device")
        return real(descriptor, mode)

    monkeypatch.setattr(os, "fdopen", full)
    message = message_of(lambda: write_files(files))
    assert message == f"cannot write `{tmp_path / 'c'}`: No space left on device"
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("call", ["replace", "open"])
def test_an_interrupt_leaves_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_files({tmp_path / "a": b"x"})
    assert names_in(tmp_path) == []


def test_a_reader_sees_one_or_the_other(tmp_path: Path) -> None:
    path, texts = tmp_path / "file", [bytes([n]) * 100_000 for n in range(2)]
    write_files({path: texts[0]})
    done = threading.Event()

    def write() -> None:
        for number in range(200):
            write_files({path: texts[number % 2]})
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert path.read_bytes() in texts
    writer.join()
    assert names_in(tmp_path) == ["file"]


def test_many_writers_of_one_file(tmp_path: Path) -> None:
    path, texts = tmp_path / "file", [bytes([n]) * 10_000 for n in range(8)]
    threads = [threading.Thread(target=write_files, args=({path: text},)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in texts
    assert names_in(tmp_path) == ["file"]


def test_the_umask_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to the process: setting it to read it would be a race between threads."""

    def forbidden(_: int) -> int:
        raise AssertionError

    monkeypatch.setattr(os, "umask", forbidden)
    write_files({tmp_path / "file": b"x"})


def test_inputs_are_not_replaced(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"precious")
    (tmp_path / "link").symlink_to("source")
    for name in ("source", "link", "../" + tmp_path.name + "/source"):
        path = tmp_path / name
        message = message_of(lambda path=path: write_files({path: b""}, [str(source)]))  # type: ignore[misc]  # untyped default
        assert message == f"the output `{path}` would replace an input"
    assert source.read_bytes() == b"precious"


def test_one_place_twice(tmp_path: Path) -> None:
    files = {tmp_path / "a": b"1", tmp_path / "b/../a": b"2"}
    assert message_of(lambda: write_files(files)).startswith("two outputs would be written as ")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("spelling", ["a", "b/../a"])
def test_a_depfile_in_the_place_of_an_output(tmp_path: Path, spelling: str) -> None:
    depfiles = {tmp_path / spelling: b"2"}
    message = message_of(lambda: write_files({tmp_path / "a": b"1"}, (), depfiles))
    assert message == f"the depfile would replace the output `{tmp_path / 'a'}`"
    assert names_in(tmp_path) == []


def test_a_depfile_is_a_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = depfile_text(["out/a.o", "/x/a.h"], ["/in/a.seam", "/in/b c.seam"])
    assert text == f"out/a.o /x/a.h {tmp_path}/out/a.o: /in/a.seam /in/b\\ c.seam\n"


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/a b", "/a\\ b"),
        ("/a#b", "/a\\#b"),
        ("/a:b", "/a\\:b"),
        ("/a$b", "/a$$b"),
        ("/a\\b", "/a\\b"),
        ("/a\\ b", "/a\\\\\\ b"),
        ("/a\\\\#", "/a\\\\\\\\\\#"),
        ("/ä'\"*?(", "/ä'\"*?("),
    ],
)
def test_what_make_reads_otherwise_is_quoted(path: str, written: str) -> None:
    assert depfile_text(["/o"], [path]) == f"/o: {written}\n"


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\x01", "%", ";", "=", "|"])
def test_what_cannot_be_quoted_is_refused(character: str) -> None:
    for outputs, inputs in (([f"/a{character}b"], []), ([], [f"/a{character}b"])):
        message = message_of(lambda o=outputs, i=inputs: depfile_text(o, i))  # type: ignore[misc]  # untyped default
        assert message.startswith("a depfile cannot name `/a")
        assert "\n" not in message
