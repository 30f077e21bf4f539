"""Inputs that change while they are read, and outputs that are inputs: errors with a place."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import LEAVES, write

import seamir
from seamir.syntax import files, loader

MAIN = '\n import "shared.seam";\nwrapper read = TEST.READ;\n'
PLACE = (2, 9)  # of the import


def remove(path: Path) -> None:
    """The file is no more."""
    path.unlink()


def make_folder(path: Path) -> None:
    """A folder takes its place."""
    path.unlink()
    path.mkdir()


def make_pipe(path: Path) -> None:
    """A pipe that nobody writes takes its place."""
    path.unlink()
    os.mkfifo(path)


def make_loop(path: Path) -> None:
    """A link to itself takes its place."""
    path.unlink()
    path.symlink_to(path.name)


def make_huge(path: Path) -> None:
    """It grows beyond all limits."""
    os.truncate(path, 1 << 40)


def make_binary(path: Path) -> None:
    """Something that is no text takes its place."""
    path.write_bytes(b"\xff\xfe\x00")


def make_wrong(path: Path) -> None:
    """Another description takes its place."""
    path.write_text("const A = ;")


Change = Callable[[Path], None]

# What is said when it happens before the import is looked for, and after it was found.
CHANGES: dict[Change, tuple[str, str]] = {
    remove: ("E0109", "E0101"),
    make_folder: ("E0102", "E0102"),
    make_pipe: ("E0102", "E0102"),
    make_loop: ("E0101", "E0101"),
    make_huge: ("E0103", "E0103"),
    make_binary: ("E0104", "E0104"),
    make_wrong: ("E0106", "E0106"),
}
WITHIN = (make_binary, make_wrong)  # what is wrong is a place in the imported file


def errors_after(
    folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str, change: Change
) -> tuple[seamir.Diagnostic, ...]:
    """What is said of an import that changes at the `moment`, a function of the loader."""
    main, shared = write(folder, "main.seam", MAIN), write(folder, "shared.seam")
    function, pending = getattr(loader, moment), [shared]

    def changing(*arguments: object) -> object:
        found = function(*arguments)
        if pending:
            change(pending.pop())
        return found

    monkeypatch.setattr(loader, moment, changing)
    with pytest.raises(seamir.SeamError) as caught:
        seamir.load(main)
    assert not pending
    return caught.value.diagnostics


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("moment", ["read_file", "find_import"])
def test_an_import_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, change: Change
) -> None:
    (found,) = errors_after(tmp_path, monkeypatch, moment, change)
    assert found.code == CHANGES[change][moment == "find_import"]
    assert found.span is not None
    file = "shared.seam" if change in WITHIN else "main.seam"
    assert Path(found.span.source.name).name == file
    if change not in WITHIN:
        assert (found.span.line, found.span.column) == PLACE


def test_a_named_file_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    find = files.find_named

    def vanishing(name: str, include: tuple[str, ...]) -> tuple[Path, str]:
        found = find(name, include)
        path.unlink()
        return found

    monkeypatch.setattr(loader, "find_named", vanishing)
    with pytest.raises(seamir.SeamError) as caught:
        seamir.load(path)
    (found,) = caught.value.diagnostics
    assert found.code == "E0101"
    assert found.message == f"cannot read `{path}`: No such file or directory"


def test_an_import_comes_and_goes(tmp_path: Path) -> None:
    """Whatever the moment, the file is read as it was or the error is at the import."""
    main, shared = write(tmp_path, "main.seam", MAIN), write(tmp_path, "shared.seam")
    done = threading.Event()

    def flicker() -> None:
        while not done.is_set():
            shared.rename(tmp_path / "away")
            (tmp_path / "away").rename(shared)

    thread = threading.Thread(target=flicker)
    thread.start()
    try:
        for _ in range(100):
            try:
                assert seamir.load(main).units[-1].source.text == MAIN
            except seamir.SeamError as error:
                (found,) = error.diagnostics
                assert found.code in ("E0101", "E0109")
                assert found.span is not None
                assert (found.span.line, found.span.column) == PLACE
    finally:
        done.set()
        thread.join()


def test_the_folder_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was loaded compiles; written it is where the folder was, or not at all."""
    folder = tmp_path / "folder"
    path = write(folder)
    monkeypatch.chdir(folder)
    made = seamir.compile(seamir.load("leaves.seam"))
    shutil.rmtree(folder)
    assert made.code("test_read") == seamir.compile(seamir.load_text(LEAVES)).code("test_read")
    assert made.write(folder) == (folder / "leaves.o",)
    assert not path.exists()
    with pytest.raises(seamir.SeamError) as caught:
        seamir.load("leaves.seam")
    assert [found.code for found in caught.value.diagnostics] == ["E0101"]


def test_another_folder_becomes_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between loading and writing: files that were read are still known by the right names."""
    path = write(tmp_path / "one", "leaves")
    write(tmp_path / "one", "in/shared.seam", "const A = 1;")
    path.write_text('import "in/shared.seam";\n' + LEAVES)
    monkeypatch.chdir(tmp_path / "one")
    made = seamir.compile(seamir.load("leaves"))
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "two")
    assert made.program.paths == (str(tmp_path / "one/in/shared.seam"), str(path))
    with pytest.raises(seamir.SeamError) as caught:
        made.write(depfile=path)
    assert "would replace an input" in caught.value.diagnostics[0].message


# -- outputs that are inputs


def link(path: Path, target: Path) -> None:
    """A symbolic link."""
    path.symlink_to(target)


def link_folder(path: Path, target: Path) -> None:
    """The folder of the input by another name."""
    path.parent.rmdir()
    path.parent.symlink_to(target.parent)


def link_twice(path: Path, target: Path) -> None:
    """A link to a link."""
    link(path.with_name("x"), target)
    link(path, Path("x"))


LINKS: dict[str, Callable[[Path, Path], None]] = {
    "symbolic": link,
    "hard": lambda path, target: path.hardlink_to(target),
    "to a link": link_twice,
    "of a folder": link_folder,
}


@pytest.mark.parametrize("imported", [False, True])
@pytest.mark.parametrize("how", LINKS)
def test_an_output_is_an_input(tmp_path: Path, how: str, imported: bool) -> None:
    """By whatever name: the input keeps its bytes, and nothing else is written."""
    source = write(tmp_path / "in", "leaves.h", LEAVES)
    main = source
    if imported:
        shared = write(tmp_path / "in", "shared.seam")
        main = write(tmp_path, "leaves.h", MAIN)
        (tmp_path / "in/leaves.h").unlink()
        source = shared.rename(tmp_path / "in/leaves.seam")
        main.write_text(MAIN.replace("shared.seam", "in/leaves.seam"))
    made = seamir.compile(seamir.load(main), emit=("obj", "header"))
    output = tmp_path / "out" / ("leaves.h.h" if how != "of a folder" else source.name)
    output.parent.mkdir()
    LINKS[how](output, source)
    before = source.read_bytes()
    with pytest.raises(seamir.SeamError) as caught:
        if how == "of a folder":
            made.write(tmp_path / "out", depfile=output)
        else:
            made.write(tmp_path / "out")
    (found,) = caught.value.diagnostics
    assert found.code == "E0808"
    assert found.message == f"the output `{output}` would replace an input"
    assert source.read_bytes() == before
    assert not (tmp_path / "out/leaves.h.o").exists()


def test_an_output_is_a_file_of_the_library() -> None:
    folder = Path(seamir.__file__).parent / "leaves/tdx"
    made = seamir.compile(seamir.load("tdx/seamldr.seam"), emit=("header",))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for name in ("seamldr.seam", "types.seam", "status.seam"):
        with pytest.raises(seamir.SeamError) as caught:
            made.write(folder, depfile=folder / name)
        assert "would replace an input" in caught.value.diagnostics[0].message
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
