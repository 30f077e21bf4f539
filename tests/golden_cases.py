"""The golden cases: folders of tests/golden with an input.seam, and how each is compiled.

`options.json` of a case has the options that its input needs: `leaves`, `conduits`, `allow_calls`,
`allow_instructions` of seamir.load, `features`, `deliver`, `symbol_prefix` of seamir.compile, and
`targets`, the targets whose listings are kept (linux-kernel alone if it says nothing); what there
is once is made for the first of them. What Kbuild needs is kept for each of `exports`, and with
`kernel_assembly` assembly for a tree of Linux.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import seamir
from seamir.golden.texts import KEPT

FOLDER = Path(__file__).parent / "golden"
_LOAD = ("leaves", "conduits", "allow_calls", "allow_instructions")
_COMPILE = ("features", "deliver", "symbol_prefix")
_OPTIONS = frozenset((*_LOAD, *_COMPILE, "exports", "targets", "kernel_assembly"))


def case_names() -> list[str]:
    """The names of all cases."""
    return sorted(path.parent.name for path in FOLDER.glob("*/input.seam"))


def options_of(name: str) -> dict[str, Any]:
    """The options of a case."""
    path = FOLDER / name / "options.json"
    options: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    assert set(options) <= _OPTIONS, f"{path} has unknown options"
    return options


def targets_of(name: str) -> list[str]:
    """The targets whose listings a case keeps."""
    return list(options_of(name).get("targets", ["linux-kernel"]))


@cache
def compile_case(
    name: str,
    target: str = "linux-kernel",
    emit: tuple[str, ...] = ("obj", "header", "manifest", "docs"),
    debug: bool = True,
    asm_style: str = "gnu",
    export: str = "gpl",
) -> seamir.Compilation:
    """A case compiled with its options, but for features that the target fixes."""
    options = options_of(name)
    fixed = {feature for feature, _ in seamir.TARGETS[target].fixed}
    options["features"] = [one for one in options.get("features", ()) if one[1:] not in fixed]
    program = seamir.load(
        FOLDER / name / "input.seam", **{key: options[key] for key in _LOAD if key in options}
    )
    chosen = {key: options[key] for key in _COMPILE if key in options}
    chosen |= {"asm_style": asm_style, "export": export}
    return seamir.compile(program, target=target, emit=emit, debug=debug, **chosen)


def expected_files(name: str) -> dict[str, str]:
    """What the compiler makes of a case, by the names of the files that keep it."""
    main = compile_case(name, targets_of(name)[0])
    files = {
        "plan.txt": KEPT["plan"].text(main),
        "expected.h": KEPT["header"].text(main),
        "expected.json": KEPT["manifest"].text(main),
        "expected.md": KEPT["docs"].text(main),
    }
    for export in options_of(name).get("exports", ()):
        made = compile_case(name, emit=("kbuild",), export=export).outputs
        way = export.partition(":")[0]
        kinds = {f"{way}.kbuild": "kbuild", f"{way}_exports.c": "exports"}
        files |= {file: made[kind].text for file, kind in kinds.items() if kind in made}
    if options_of(name).get("kernel_assembly"):
        made = compile_case(name, emit=("asm",), asm_style="linux").outputs
        files["expected.S"] = made["asm"].text
    for target in targets_of(name):
        files[f"{target}.lst"] = KEPT["listing"].text(compile_case(name, target))
    if main.diagnostics:
        warnings = "\n".join(warning.render() for warning in main.diagnostics) + "\n"
        files["warnings.txt"] = warnings.replace(f"{FOLDER / name}/", "")
    return files
