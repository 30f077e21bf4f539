"""examples/kernel-module, built as its README says, for real kernels."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
from kernel_modules import run_make
from kernels import ROOT, Kernel

import seamir

EXAMPLE = ROOT / "examples" / "kernel-module"
WAYS = ("object", "assembly")


@dataclass(frozen=True)
class Example:
    """What came of a build: the lines that a silent one does not print, and files by name."""

    complaints: list[str]
    files: dict[str, bytes]


# By the way that the wrappers take into the module.
Examples: TypeAlias = dict[str, Example]


def build_one_after_the_other(kernel: Kernel, folder: Path, ways: tuple[str, ...]) -> Examples:
    """Builds a copy of the example, in a folder that is made for it."""
    folder.mkdir(parents=True)
    for pattern in ("Kbuild", "Makefile", "*.c"):
        for path in EXAMPLE.glob(pattern):
            shutil.copy(path, folder)
    return {way: build(kernel, folder, way) for way in ways}


def build(kernel: Kernel, folder: Path, way: str) -> Example:
    command = Path(sys.executable).parent / "seamir"
    # What make itself prints is its commands: -s is for "silent".
    built = run_make(
        "-s", "-C", folder, f"KDIR={kernel.headers}", f"WAY={way}", f"SEAMIR={command}"
    )
    assert built.status == 0, built.output
    results = [*folder.glob("*.ko"), folder / "Module.symvers"]
    return Example(built.complaints, {path.name: path.read_bytes() for path in results})


@pytest.fixture(scope="module")
def examples(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Examples, Examples]:
    """The example by both ways, in two folders, and in another order."""
    folder = tmp_path_factory.mktemp("example")
    return (
        build_one_after_the_other(kernel, folder / "one", WAYS),
        build_one_after_the_other(kernel, folder / "another" / "one", WAYS[::-1]),
    )


@pytest.mark.parametrize("way", WAYS)
def test_it_builds_without_a_word(way: str, examples: tuple[Examples, Examples]) -> None:
    for example in examples:
        assert example[way].complaints == []
        assert set(example[way].files) == {"tdx_calls.ko", "tdx_example.ko", "Module.symvers"}


@pytest.mark.parametrize("way", WAYS)
def test_every_wrapper_is_exported_with_a_checksum(
    way: str, examples: tuple[Examples, Examples]
) -> None:
    text = examples[0][way].files["Module.symvers"].decode()
    rows = [line.split("\t") for line in text.splitlines()]
    symbols = seamir.compile(seamir.load("tdx/host.seam"), emit=()).symbols
    assert sorted(row[1] for row in rows) == sorted(symbols)
    assert not [row for row in rows if int(row[0], 16) == 0]
    assert {row[3] for row in rows} == {"EXPORT_SYMBOL_GPL"}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_same_from_another_folder(way: str, examples: tuple[Examples, Examples]) -> None:
    first, second = (example[way].files for example in examples)
    for name in ("tdx_calls.ko", "tdx_example.ko"):
        assert first[name] == second[name], name


def test_both_ways_have_the_same_interface(examples: tuple[Examples, Examples]) -> None:
    by_object, by_assembly = (examples[0][way].files["Module.symvers"] for way in WAYS)
    assert sorted(by_object.splitlines()) == sorted(by_assembly.splitlines())
