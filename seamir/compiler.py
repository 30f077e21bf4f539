"""The stages in order: load, check, compile, write. This is the library API.

The functions keep no state between calls and may be used from several threads at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seamir.diagnostics import Diagnostic, Diagnostics, Note, SeamError, fail
from seamir.exports import DEFAULT_EXPORT, GPL, Export, select_export
from seamir.ir.leaf import Plan
from seamir.ir.lower import LowerOptions, check_calls, check_fallbacks, check_structs, lower
from seamir.ir.passes import run_passes
from seamir.ir.type_ids import check_type_ids
from seamir.model.actions import Permissions
from seamir.model.entities import Wrapper
from seamir.model.instructions import parse_code
from seamir.model.program import Model, ModelOptions
from seamir.outputs import (
    ASSEMBLY_STYLES,
    DEFAULT_STYLE,
    OUTPUTS,
    EmitContext,
    all_outputs,
    outputs_with,
)
from seamir.source import Source, readable_name
from seamir.syntax.loader import Loader, ParsedFiles, Unit
from seamir.targets import DEFAULT_TARGET, TARGETS, Target, select_target, switch_features
from seamir.writing import depfile_text, write_files

if TYPE_CHECKING:
    from seamir.objects.contents import ObjectFile

# Told of a stage in words, and how many functions of how many are done, 0 of 0 where unknown.
Progress = Callable[[str, int, int], None]

DELIVERIES = ("pointers", "struct", "register")
MAXIMUM_PREFIX = 256  # characters of a symbol prefix
_KBUILD_STEM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")

_NOTHING_HELP = "name a file with leaves, or choose imported ones: --leaf, in the API leaves="


@dataclass(frozen=True)
class Program:
    """A loaded description with everything it imports, parsed and not yet checked.

    `stem` is what output files are called; `units` come imports first.
    """

    stem: str
    units: tuple[Unit, ...] = field(repr=False)
    options: ModelOptions
    leaves: tuple[str, ...]

    @property
    def main(self) -> Source:
        """The source of the named file."""
        return next(unit.source for unit in self.units if unit.named)

    @property
    def paths(self) -> tuple[str, ...]:
        """Absolute paths of all files that were read, for dependency tracking."""
        return tuple(os.path.realpath(u.source.path) for u in self.units if u.source.path)


@dataclass(frozen=True)
class Output:
    """One output: `kind` as in `emit`, the file name's suffix, and its bytes."""

    kind: str
    suffix: str
    data: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The bytes as text; all outputs but objects and bitcode are UTF-8."""
        return self.data.decode("utf-8")


@dataclass(frozen=True)
class WrittenFile:
    """A file that was written: `kind` as in `emit`, or "depfile"; `size` in bytes.

    It is not `changed` if it had the same bytes already, and keeps its time stamp then.
    """

    kind: str
    path: Path
    size: int
    changed: bool

    def to_json(self) -> dict[str, Any]:
        """The same as data that `json.dumps` accepts."""
        path = readable_name(os.fspath(self.path))
        return {"kind": self.kind, "path": path, "bytes": self.size, "changed": self.changed}


@dataclass(frozen=True)
class Compilation:
    """What came of compiling a program for a target; `diagnostics` are warnings."""

    stem: str
    target: Target
    plans: tuple[Plan, ...]
    outputs: Mapping[str, Output]
    diagnostics: tuple[Diagnostic, ...]
    program: Program = field(repr=False)

    @cached_property
    def object_file(self) -> ObjectFile:
        """The emitted object read back: sections, functions, relocations, line table.

        Raises KeyError if "obj" was not among the outputs.
        """
        from seamir.objects.reading import read_object

        return read_object(self.outputs["obj"].data)

    def code(self, symbol: str) -> bytes:
        """The machine code of a function, relocations not applied.

        Raises KeyError if the object defines no such function.
        """
        function = self.object_file.function(symbol)
        if function is None:
            raise KeyError(symbol)
        return function.code

    @property
    def symbols(self) -> tuple[str, ...]:
        """The functions that the object defines, in order."""
        return tuple(plan.symbol for plan in self.plans)

    def write(
        self,
        directory: str | os.PathLike[str] = ".",
        depfile: str | os.PathLike[str] | None = None,
    ) -> tuple[Path, ...]:
        """Writes all outputs as DIRECTORY/STEM.SUFFIX; see `write_all`."""
        return write_all([self], directory, depfile)


def load(
    name: str | os.PathLike[str],
    *,
    include: Iterable[str | os.PathLike[str]] = (),
    conduits: Mapping[str, str] | None = None,
    leaves: Iterable[str] = (),
    allow_calls: Iterable[str] = (),
    allow_instructions: Iterable[str] = (),
    parsed: ParsedFiles | None = None,
) -> Program:
    """Reads a description and everything it imports.

    `name` is a path, or a library path such as "tdx/host.seam"; `include` are further folders for
    imports; `conduits` lets one conduit stand in for another; `leaves` are globs over leaf names
    and symbols that choose what is emitted; the last two name functions that may be called and
    instructions, in hexadecimal, that may be used. Loads given the same `parsed` files read and
    parse the imports that they share once. Raises SeamError on files that cannot be read or parsed.
    """
    options = _model_options(conduits, allow_calls, allow_instructions)
    units = Loader(_folders(include), parsed).load([os.fspath(name)])
    return Program(_stem(os.fspath(name)), units, options, _several(leaves))


def load_text(
    text: str,
    name: str = "text.seam",
    *,
    include: Iterable[str | os.PathLike[str]] = (),
    conduits: Mapping[str, str] | None = None,
    leaves: Iterable[str] = (),
    allow_calls: Iterable[str] = (),
    allow_instructions: Iterable[str] = (),
    parsed: ParsedFiles | None = None,
) -> Program:
    """The same for a description held in a string; `name` is what diagnostics call it."""
    name = name or "text.seam"
    options = _model_options(conduits, allow_calls, allow_instructions)
    units = Loader(_folders(include), parsed).load_text(text, name)
    return Program(_stem(name), units, options, _several(leaves))


def check(program: Program) -> tuple[Diagnostic, ...]:
    """All errors and warnings of a program, whatever the target; raises nothing."""
    try:
        wrappers, diagnostics = _check(program)
        _, sink = _lower(wrappers, TARGETS[DEFAULT_TARGET], LowerOptions())
        return diagnostics + sink.entries
    except SeamError as error:
        return error.diagnostics


def compile(
    program: Program,
    *,
    target: str | Target = DEFAULT_TARGET,
    features: Iterable[str] = (),
    emit: Iterable[str] = ("obj",),
    asm_style: str = DEFAULT_STYLE,
    deliver: str = "pointers",
    symbol_prefix: str = "",
    export: str = DEFAULT_EXPORT,
    debug: bool = True,
    debug_prefix_map: Mapping[str, str] | None = None,
    fallback: bool | None = None,
    progress: Progress | None = None,
) -> Compilation:
    """Compiles a program for a target.

    `features` are switches such as "-ibt"; `emit` names outputs (see `list_outputs`); `asm_style`
    is what the output "asm" is for, "gnu" or "linux"; `deliver` is how wrappers that do not say it
    deliver outputs, where their outputs allow it; `symbol_prefix` precedes every symbol; `export`
    says to whom the output "exports" exports them: see EXPORTS of exports.py. Without `debug`
    objects have no debug data. Names of files in it are as `Source.logical_name` has them; one that
    begins with a key of `debug_prefix_map` begins with the value instead, by the last such key.
    `fallback` says whether a wrapper may make do with what the target has, as Plan.fallbacks lists
    it; None: unless it is one of the program's chosen leaves. `progress` is called as each stage
    begins, such as ("lowering leaves.seam", 3, 100). Raises SeamError on errors in the program or
    the request.
    """
    kinds = _several(emit)
    _check_request(kinds, deliver, symbol_prefix)
    chosen = target if isinstance(target, Target) else select_target(target)
    chosen = switch_features(chosen, _several(features))
    _check_style(asm_style, kinds, chosen)
    exporting = select_export(export)
    _check_kbuild(kinds, chosen, exporting)
    stem = readable_name(program.stem)
    if {"exports", "kbuild"} & set(kinds):
        _check_stem(stem)
    tell = progress or _tell_nobody
    tell(f"checking {program.main.name}", 0, 0)
    wrappers, diagnostics = _check(program)
    options = LowerOptions(deliver, symbol_prefix)
    plans, sink = _lower(_telling(wrappers, program, tell), chosen, options)
    if not plans:
        message = f"`{program.main.name}` describes no leaf, so there is nothing to emit"
        sink.report("E0807", message, help=_NOTHING_HELP)
    if not (fallback if fallback is not None else not program.leaves):
        check_fallbacks(plans, sink)
    sink.stop_on_errors()
    prefixes = tuple((debug_prefix_map or {}).items())
    context = EmitContext(plans, chosen, stem, program.main, debug, prefixes, exporting)
    outputs = {}
    for kind, row in all_outputs(outputs_with(asm_style), kinds, exporting).items():
        tell(f"generating {context.stem}{row.suffix}", 0, 0)
        outputs[kind] = Output(kind, row.suffix, row.make(context))
    return Compilation(program.stem, chosen, plans, outputs, diagnostics, program)


def constants_of(program: Program) -> dict[str, int]:
    """The constants of a program by name, without those that files define differently.

    Raises SeamError on errors in the program.
    """
    return Model(program.units, program.options).constants()


def plans_of(
    program: Program, target: Target, deliver: str = "pointers"
) -> tuple[tuple[Plan, ...], tuple[Diagnostic, ...]]:
    """The plans of a program without any code generation, and its warnings."""
    wrappers, diagnostics = _check(program)
    plans, sink = _lower(wrappers, target, LowerOptions(deliver))
    sink.stop_on_errors()
    return plans, diagnostics


def list_outputs(
    asm_style: str = DEFAULT_STYLE, *, target: str | Target | None = None
) -> dict[str, str]:
    """The kinds of output with the suffix of each, where assembly has that style.

    With a target, those alone that it can have. Raises SeamError if there is no such style or
    target.
    """
    _check_known_style(asm_style)
    chosen = select_target(target) if isinstance(target, str) else target
    return {
        kind: row.suffix
        for kind, row in outputs_with(asm_style).items()
        if chosen is None or chosen.kbuild or not row.kbuild
    }


def write_all(
    compilations: Sequence[Compilation],
    directory: str | os.PathLike[str] = ".",
    depfile: str | os.PathLike[str] | None = None,
) -> tuple[Path, ...]:
    """Writes the outputs of several compilations into a folder, which is made if needed.

    Each file appears complete or not at all, and is left alone if it has these bytes already.
    `depfile` takes a rule for make or ninja that names the files read. Returns the paths of the
    outputs, then that of the depfile. Raises SeamError, and writes nothing, if two outputs would
    have the same name or define the same symbol, if an output would replace an input, or if a
    file cannot be written.
    """
    return tuple(file.path for file in write_outputs(compilations, directory, depfile))


def write_outputs(
    compilations: Sequence[Compilation],
    directory: str | os.PathLike[str] = ".",
    depfile: str | os.PathLike[str] | None = None,
) -> tuple[WrittenFile, ...]:
    """The same; returns what is known of each file."""
    _check_together(compilations)
    folder = os.fspath(directory)
    made = {
        os.path.join(folder, compilation.stem + output.suffix): output
        for compilation in compilations
        for output in compilation.outputs.values()
    }
    kinds = {Path(name): output.kind for name, output in made.items()}
    files = {Path(name): output.data for name, output in made.items()}
    inputs = {path for compilation in compilations for path in compilation.program.paths}
    depfiles = {}
    if depfile is not None:
        depfiles[Path(depfile)] = os.fsencode(depfile_text(made, sorted(inputs)))
    written = write_files(files, inputs, depfiles)
    sizes = {path: len(data) for path, data in (*files.items(), *depfiles.items())}
    return tuple(
        WrittenFile(kinds.get(path, "depfile"), path, sizes[path], changed)
        for path, changed in written.items()
    )


def _check_together(compilations: Sequence[Compilation]) -> None:
    """Raises SeamError if the outputs cannot lie in one folder or be linked together."""
    stems: dict[str, Compilation] = {}
    symbols: dict[str, Plan] = {}
    for compilation in compilations:
        earlier = stems.setdefault(compilation.stem, compilation)
        if earlier is not compilation:
            other, main = earlier.program.main, compilation.program.main
            message = f"`{other.name}` and `{main.name}` would be written under the same names"
            if other.path is not None and other.path == main.path:
                message = f"`{main.name}` is named twice"
            raise fail("E0808", message, help="compile them into folders of their own")
        for plan in compilation.plans:
            first = symbols.setdefault(plan.symbol, plan)
            if first is not plan:
                message = f"two files define {plan.symbol}"
                note = Note("the first is here", first.span)
                help = (
                    "compile one of them with --symbol-prefix, or only part of it with --leaf; "
                    "in the API symbol_prefix= and leaves="
                )
                raise SeamError([Diagnostic("E0208", message, plan.span, (note,), help)])


def _check(program: Program) -> tuple[tuple[Wrapper, ...], tuple[Diagnostic, ...]]:
    model = Model(program.units, program.options)
    wrappers = model.check(program.leaves)
    return wrappers, model.sink.entries


def _tell_nobody(_stage: str, _done: int, _count: int) -> None:
    pass


def _telling(
    wrappers: Sequence[Wrapper], program: Program, progress: Progress
) -> Iterable[Wrapper]:
    """The wrappers, each as it is lowered."""
    for number, wrapper in enumerate(wrappers):
        progress(f"lowering {program.main.name}", number, len(wrappers))
        yield wrapper


def _lower(
    wrappers: Iterable[Wrapper], target: Target, options: LowerOptions
) -> tuple[tuple[Plan, ...], Diagnostics]:
    """The plans of wrappers, and what is wrong with them together."""
    plans = tuple(run_passes(lower(wrapper, target, options)) for wrapper in wrappers)
    sink = Diagnostics()
    check_structs(plans, sink)
    check_calls(plans, sink)
    check_type_ids(plans, target, sink)
    return plans, sink


def _several(words: Iterable[str]) -> tuple[str, ...]:
    """The words; a lone string is one word, not its letters."""
    return (words,) if isinstance(words, str) else tuple(words)


def _folders(include: Iterable[str | os.PathLike[str]]) -> tuple[str, ...]:
    if isinstance(include, str | os.PathLike):
        return (os.fspath(include),)
    return tuple(os.fspath(folder) for folder in include)


def _model_options(
    conduits: Mapping[str, str] | None,
    allow_calls: Iterable[str],
    allow_instructions: Iterable[str],
) -> ModelOptions:
    codes = []
    for text in _several(allow_instructions):
        digits = "".join(text.split())
        code = parse_code(" ".join(digits[i : i + 2] for i in range(0, len(digits), 2)))
        if code is None:
            message = f"`{text}` is not 1 to 15 bytes in hexadecimal"
            raise fail("E0809", message, help="for example 0f01d9")
        codes.append(code)
    permissions = Permissions(frozenset(_several(allow_calls)), frozenset(codes))
    return ModelOptions(dict(conduits or {}), permissions)


def _check_request(emit: Sequence[str], deliver: str, symbol_prefix: str) -> None:
    for kind in emit:
        if kind not in OUTPUTS:
            known = ", ".join(OUTPUTS)
            raise fail("E0809", f"there is no output `{kind}`", help=f"outputs are {known}")
    if deliver not in DELIVERIES:
        known = ", ".join(DELIVERIES)
        raise fail("E0809", f"there is no delivery `{deliver}`", help=f"deliveries are {known}")
    if len(symbol_prefix) > MAXIMUM_PREFIX:
        message = f"a symbol prefix of {len(symbol_prefix)} characters"
        raise fail("E0809", message, help=f"a prefix has at most {MAXIMUM_PREFIX} characters")
    if symbol_prefix and not (symbol_prefix.isidentifier() and symbol_prefix.isascii()):
        message = f"`{symbol_prefix}` cannot begin a symbol"
        raise fail("E0809", message, help="a prefix has letters, digits and underscores")


def _check_kbuild(emit: Sequence[str], target: Target, export: Export) -> None:
    """Raises SeamError if what is for Kbuild cannot be made, or an export would have no effect."""
    for kind in emit:
        if OUTPUTS[kind].kbuild and not target.kbuild:
            message = f"output `{kind}` is for Linux's Kbuild, and target {target.name} is not"
            raise fail("E0809", message, help=_choose_kbuild())
    if export == GPL:
        return
    if export.kind == "none" and "exports" in emit:
        raise fail("E0809", "an output `exports` that exports nothing", help="leave it out")
    if not {"exports", "kbuild"} & set(emit):
        message = f"export `{export.kind}` without an output that exports"
        raise fail("E0809", message, help="emit kbuild or exports")


def _check_stem(stem: str) -> None:
    """Raises SeamError unless make takes a file of that name for just that."""
    if not _KBUILD_STEM.fullmatch(stem):
        message = f"`{stem}` cannot be the name of files for Kbuild"
        help = "rename the description: a letter, digit or _, then any of them and of . + -"
        raise fail("E0809", message, help=help)


def _choose_kbuild() -> str:
    able = ", ".join(target.name for target in TARGETS.values() if target.kbuild)
    return f"choose target {able}"


def _check_known_style(asm_style: str) -> None:
    if asm_style not in ASSEMBLY_STYLES:
        known = ", ".join(ASSEMBLY_STYLES)
        message = f"there is no assembly style `{asm_style}`"
        raise fail("E0809", message, help=f"styles are {known}")


def _check_style(asm_style: str, emit: Sequence[str], target: Target) -> None:
    """Raises SeamError unless assembly of that style is asked for, and is for the target."""
    _check_known_style(asm_style)
    changed = ASSEMBLY_STYLES[asm_style]
    if changed and not set(emit) & changed.keys():
        message = f"assembly style `{asm_style}` without assembly among the outputs"
        raise fail("E0809", message, help=f"emit {' or '.join(changed)}")
    if any(row.kbuild for row in changed.values()) and not target.kbuild:
        message = (
            f"assembly style `{asm_style}` is for Linux's Kbuild, and target {target.name} is not"
        )
        raise fail("E0809", message, help=_choose_kbuild())


def _stem(name: str) -> str:
    stem = Path(name).name
    return stem[: -len(".seam")] if stem.endswith(".seam") and stem != ".seam" else stem
