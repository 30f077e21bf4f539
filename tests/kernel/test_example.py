"""examples/kernel-module, built and loaded as its README says, for real kernels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
from kernel_example import EXAMPLE, MODULES, WAYS, build_example, copy_example, load_example, said
from kernels import Kernel

import seamir

# What the module says where there is no TDX, as the README shows it.
SAID = re.findall(r"(?m)^    (tdx_example: .*)$", (EXAMPLE / "README.md").read_text())


@dataclass(frozen=True)
class Example:
    """What came of a build: the lines that a silent one does not print, and files by name."""

    complaints: list[str]
    files: dict[str, bytes]


# By the way that the wrappers take into the module.
Examples: TypeAlias = dict[str, Example]


def build_one_after_the_other(kernel: Kernel, folder: Path, ways: tuple[str, ...]) -> Examples:
    """Builds a copy of the example, in a folder that is made for it."""
    copy_example(folder)
    return {way: build(kernel, folder, way) for way in ways}


def build(kernel: Kernel, folder: Path, way: str) -> Example:
    built = build_example(kernel, folder, way)
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
        assert set(example[way].files) == {*MODULES, "Module.symvers"}


@pytest.mark.parametrize("way", WAYS)
def test_every_wrapper_is_exported_with_a_checksum(
    way: str, kernel: Kernel, examples: tuple[Examples, Examples]
) -> None:
    text = examples[0][way].files["Module.symvers"].decode()
    rows = [line.split("\t") for line in text.splitlines()]
    symbols = seamir.compile(seamir.load("tdx/host.seam"), emit=()).symbols
    assert sorted(row[1] for row in rows) == sorted(symbols)
    # Some kernels have no checksums at all.
    assert {int(row[0], 16) != 0 for row in rows} == {kernel.has("CONFIG_MODVERSIONS")}
    assert {row[3] for row in rows} == {"EXPORT_SYMBOL_GPL"}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_same_from_another_folder(way: str, examples: tuple[Examples, Examples]) -> None:
    first, second = (example[way].files for example in examples)
    for name in MODULES:
        assert first[name] == second[name], name


def test_both_ways_have_the_same_interface(examples: tuple[Examples, Examples]) -> None:
    by_object, by_assembly = (examples[0][way].files["Module.symvers"] for way in WAYS)
    assert sorted(by_object.splitlines()) == sorted(by_assembly.splitlines())


@pytest.mark.parametrize("way", WAYS)
def test_it_says_that_there_is_no_tdx(
    kernel: Kernel, way: str, examples: tuple[Examples, Examples]
) -> None:
    booted = load_example(kernel, examples[0][way].files)
    assert booted.complaints() == []
    assert said(booted) == SAID
    assert len(SAID) == 2
