"""What `--help` says after the options: enough to work without any other document."""

from __future__ import annotations

from collections.abc import Callable

import click

from seamir import compiler
from seamir.exports import EXPORTS
from seamir.syntax.files import library_names
from seamir.targets import FEATURES, TARGETS

Rows = list[tuple[str, str]]
Section = tuple[str, str | Rows]

_FILES = (
    "FILE is a path, or a path in the library. It is looked for in the current folder, then in "
    "each -I folder, then in the library that ships with seamir. There is no standard input."
)
_WRITING = (
    "DIR/<stem> of FILE with a suffix, all or none: on an error nothing changes. A file that has "
    "its bytes already keeps its time stamp."
)
_COLUMNS = (
    "A line for each wrapper: symbol, leaf, number, version, conduit, how often the instruction is "
    "executed at most, and the arguments in C, where a star marks pointers."
)
_JSON = (
    "A list of objects with code, severity, message, place (file, line, column, end_line, "
    "end_column, or null), notes and help; lines and columns count from 1."
)
_VALUES: Rows = [
    ("NAME=VALUE", "a number, a constant of the description, or a status"),
    ("NAME=1,2 or NAME[1]=2", "elements of an array"),
    ("NAME.rdx=5", "a register of a layout; NAME=0 for all others of it"),
    ("NAME.field=1", "a field of a value with fields; those left out are 0"),
    ("NAME=NULL", "an output that may be NULL"),
]
_OUTCOMES: Rows = [
    ("STATUS", "the call completes with it: NAME, NAME(OPERAND), or a number"),
    ("STATUS{rcx=1, out=5}", "and with these registers, outputs, or fields as out.level=1"),
    ("completed", "the same with a status that means success, or without statuses"),
    ("refused=VALUE", "the instruction comes back, with a value where a refusal shows"),
    ("carry", "the instruction fails with the carry flag set"),
    ("#UD, #GP, ..., #30", "the instruction faults"),
    ("OUTCOME*N", "the same for N attempts; `;` stands between outcomes"),
]
_PROVED = (
    "A line for each wrapper: symbol, verdict (proved, refuted, undecided), paths through the "
    "code, what was to be shown on them, how often z3 was asked, milliseconds of processor time, "
    "and whether it was proved before. What could not be proved is on the standard error, with the "
    "place in the description, the instruction, and a call that goes wrong."
)
_KEPT = (
    "What was proved is kept in $XDG_CACHE_HOME/seamir/proofs, by its code and its meaning, and "
    "not proved again. The folder may be deleted."
)
_PLACES: Rows = [
    ("bash", "source <(seamir completion bash)"),
    ("zsh", "source <(seamir completion zsh)"),
    ("fish", "seamir completion fish | source"),
]
_EXIT: Rows = [
    ("0", "done; there may be warnings"),
    ("1", "an error in a file, a file that cannot be read or written, or no proof"),
    ("2", "a bad command line, or a name on it that there is not"),
    ("70", "a defect of seamir"),
    ("130", "interrupted"),
]


def write_sections(command: str, formatter: click.HelpFormatter) -> None:
    """Writes what there is to know about a command besides its arguments and options."""
    for title, content in [*_SECTIONS[command](), ("Exit status", _EXIT)]:
        with formatter.section(title):
            if isinstance(content, str):
                formatter.write_text(content)
            else:
                formatter.write_dl(content)


def _files() -> list[Section]:
    return [("Files", _FILES), ("The library", ", ".join(library_names()))]


def _compile() -> list[Section]:
    outputs = compiler.list_outputs().items()
    suffixes = [(kind, f"DIR/<stem>{suffix}") for kind, suffix in outputs]
    return [
        *_files(),
        ("Outputs", _WRITING),
        ("Kinds of output", suffixes),
        ("Exports", list(EXPORTS.items())),
        _features(),
    ]


def _features() -> Section:
    rows = []
    for name, meaning in FEATURES.items():
        targets = [target.name for target in TARGETS.values() if name in target.features]
        rows.append((name, f"{meaning}; on for {', '.join(targets) or 'no target'}"))
    return "Features", rows


_SECTIONS: dict[str, Callable[[], list[Section]]] = {
    "compile": _compile,
    "check": lambda: [*_files(), ("JSON", _JSON)],
    "list": lambda: [*_files(), ("Columns", _COLUMNS)],
    "explain": lambda: [*_files(), _features()],
    "run": lambda: [*_files(), ("Values", _VALUES), ("Outcomes", _OUTCOMES), _features()],
    "verify": lambda: [*_files(), ("What is printed", _PROVED), ("Cache", _KEPT), _features()],
    "completion": lambda: [("For this shell only", _PLACES)],
}
