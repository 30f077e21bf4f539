"""The help of the commands is enough to work with, and says what docs/cli.md says."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from command_line import ROOT, run, write

import seamir
from seamir.cli import main

COMMANDS = sorted(main.commands)
WITH_FILES = [name for name in COMMANDS if name != "completion"]
PAGE = (ROOT / "docs/cli.md").read_text(encoding="utf-8")


def help_of(command: str, width: int = 80) -> str:
    """What `seamir COMMAND --help` prints on a terminal of that width, examples and all."""
    context = click.Context(main.commands[command], info_name=command, terminal_width=width)
    return main.commands[command].get_help(context)


def words_of(text: str) -> str:
    """A text on one line; what was taken apart at a hyphen is put together."""
    return " ".join(text.split()).replace("- ", "-")


def options_of(command: str) -> set[str]:
    """The options of a command, as one writes them."""
    parameters = main.commands[command].params
    return {name for p in parameters if isinstance(p, click.Option) for name in p.opts}


@pytest.mark.parametrize("command", COMMANDS)
def test_it_has_exit_statuses(command: str) -> None:
    section = PAGE[PAGE.index("\n## Messages and exit status\n") :]
    statuses = re.findall(r"^\| (\d+) \|", section, re.MULTILINE)
    shown = help_of(command).split("Exit status:\n")[1]
    assert re.findall(r"^  (\d+) ", shown, re.MULTILINE) == statuses


@pytest.mark.parametrize("command", WITH_FILES)
def test_it_says_what_a_file_is(command: str) -> None:
    text = words_of(help_of(command))
    assert "in the current folder, then in each -I folder, then in the library" in text
    for path in (ROOT / "seamir/leaves").rglob("*.seam"):
        assert path.relative_to(ROOT / "seamir/leaves").as_posix() in text


@pytest.mark.parametrize("command", ["compile", "explain", "run", "verify"])
def test_it_has_targets_and_features(command: str) -> None:
    text = words_of(help_of(command))
    for target in seamir.TARGETS:
        assert target in text
    for name, meaning in seamir.FEATURES.items():
        on = [target.name for target in seamir.TARGETS.values() if name in target.features]
        assert words_of(f"{name} {meaning}; on for {', '.join(on) or 'no target'}") in text


def test_it_has_the_outputs() -> None:
    text = help_of("compile")
    for kind, suffix in seamir.list_outputs().items():
        assert re.search(rf"^  {kind} +DIR/<stem>{re.escape(suffix)}$", text, re.MULTILINE)


def test_it_has_every_outcome_of_a_script(tmp_path: Path) -> None:
    """Each form stands in the page too, and can be used."""
    write(tmp_path)
    rows = help_of("run").split("Outcomes:\n")[1].split("\n\n")[0]
    forms = [re.split(r" {2,}", line)[0] for line in re.findall(r"^  (\S.*)$", rows, re.MULTILINE)]
    tried = {
        "STATUS": "BUSY",
        "STATUS{rcx=1, out=5}": "BUSY{rcx=1, second=5}",
        "completed": "completed",
        "refused=VALUE": None,  # for conduits that say where a refusal shows
        "carry": "carry",
        "#UD, #GP, ..., #30": "#30",
        "OUTCOME*N": "BUSY*2; #UD",
    }
    assert forms == list(tried)
    for script in filter(None, tried.values()):
        values = ("page=1", "level=2", "--script", script)
        run("run", "leaves.seam", "TEST.REMOVE", *values, cwd=tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_it_fits_a_terminal(command: str) -> None:
    text = help_of(command)
    examples = re.findall(rf"^ +seamir {command} .*$", text, re.MULTILINE)
    wide = [line for line in text.splitlines() if len(line) > 80 and line not in examples]
    assert wide == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_names_no_other_options(command: str) -> None:
    """Those of the command's own section, in examples and tables."""
    section = PAGE.split(f"\n## {command}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(--?[a-zA-Z-]+)", section, re.MULTILINE)
    examples = re.findall(rf"^    seamir {command} (.*)$", section, re.MULTILINE)
    used = re.findall(r"(?<!\S)--[a-z-]+", " ".join(examples))
    assert {*rows, *used} <= options_of(command)
