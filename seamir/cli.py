"""The command line: arguments in, exit status out. All work is done by seamir.compiler."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from seamir import compiler
from seamir.diagnostics import Diagnostic, SeamError, printable, render
from seamir.targets import DEFAULT_TARGET, FEATURES, TARGETS
from seamir.version import VERSION
from seamir.writing import depfile_text, write_files

Function = TypeVar("Function", bound=Callable[..., Any])

BAD_REQUEST = frozenset({"E0801", "E0802", "E0803", "E0806", "E0809"})


class SeamCommand(click.Command):
    """A command that shows diagnostics and exits with 1, or 2 if the command line is at fault."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except SeamError as error:
            _show(error.diagnostics)
            codes = {diagnostic.code for diagnostic in error.diagnostics}
            ctx.exit(2 if codes <= BAD_REQUEST else 1)


def _show(diagnostics: Sequence[Diagnostic]) -> None:
    if not diagnostics:
        return
    click.echo(render(diagnostics), err=True)
    errors = sum(diagnostic.severity == "error" for diagnostic in diagnostics)
    codes = sorted({d.code for d in diagnostics if d.severity == "error" and d.span is not None})
    if codes:
        count = "1 error" if errors == 1 else f"{errors} errors"
        click.echo(f"{count}; `seamir explain {codes[0]}` says more", err=True)


def _separated(_context: click.Context, _option: click.Parameter, value: Any) -> tuple[str, ...]:
    """Several values separated by commas, from an option that may be repeated."""
    texts = value if isinstance(value, tuple) else (value,)
    return tuple(word.strip() for text in texts for word in text.split(",") if word.strip())


def _pairs(_context: click.Context, _option: click.Parameter, value: Any) -> dict[str, str]:
    pairs = {}
    for text in value:
        name, equals, other = text.partition("=")
        if not (name and equals and other):
            raise click.BadParameter(f"`{printable(text)}` is not NAME=OTHER")
        pairs[name] = other
    return pairs


def _loading(function: Function) -> Function:
    """The options of every command that loads descriptions."""
    options = (
        click.option(
            "-I",
            "include",
            multiple=True,
            metavar="DIR",
            type=click.Path(exists=True, file_okay=False),
            help="A further folder for imports and library paths; may be repeated.",
        ),
        click.option(
            "--leaf",
            "leaves",
            multiple=True,
            metavar="GLOB",
            help="Only leaves or symbols that match, imported ones too; may be repeated.",
        ),
        click.option(
            "--conduit",
            "conduits",
            multiple=True,
            metavar="NAME=OTHER",
            callback=_pairs,
            help="Let conduit OTHER stand in for NAME; may be repeated.",
        ),
        click.option(
            "--allow-call",
            "allow_calls",
            multiple=True,
            metavar="SYMBOL",
            help="Permit the description to call this function; may be repeated.",
        ),
        click.option(
            "--allow-instruction",
            "allow_instructions",
            multiple=True,
            metavar="HEX",
            help="Permit an instruction that seamir does not know; may be repeated.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _targeting(function: Function) -> Function:
    """The options of every command that generates code."""
    options = (
        click.option(
            "--target",
            default=DEFAULT_TARGET,
            show_default=True,
            metavar="NAME",
            help=f"What the code is for: {', '.join(TARGETS)}.",
        ),
        click.option(
            "--feature",
            "features",
            multiple=True,
            metavar="±X,...",
            callback=_separated,
            help=f"Switch target features, as in +ibt,-rethunk. Known: {', '.join(FEATURES)}.",
        ),
        click.option(
            "--deliver",
            default="pointers",
            show_default=True,
            metavar="|".join(compiler.DELIVERIES),
            help="How outputs reach the caller where a wrapper does not say it.",
        ),
        click.option(
            "--symbol-prefix", default="", metavar="P", help="Begin every symbol with P."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _show_version(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    click.echo(f"seamir {VERSION}")
    if "--verbose" in sys.argv or context.params.get("verbose"):
        from seamir.llvm.emit import llvm_version, llvmlite_version

        click.echo(f"LLVM {llvm_version()} in llvmlite {llvmlite_version()}")
        click.echo(f"Python {sys.version.split()[0]}")
    context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verbose", is_flag=True, is_eager=True, help="With --version: name LLVM too.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def main(verbose: bool) -> None:
    """Compile descriptions of TDX leaf functions to machine code.

    \b
    Example:
      seamir compile tdx/host.seam -o build --emit obj,header
    """


@main.command(name="compile", cls=SeamCommand)
@click.argument("names", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "-o",
    "directory",
    default=".",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="The folder for the outputs; made if needed. The current one if not given.",
)
@click.option(
    "--emit",
    multiple=True,
    default=("obj",),
    metavar="LIST",
    callback=_separated,
    help=f"Outputs, separated by commas: {', '.join(compiler.list_outputs())}. [default: obj]",
)
@_targeting
@_loading
@click.option("--no-debug", is_flag=True, help="Leave out the line table.")
@click.option(
    "--depfile",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write the files read as a rule for make or ninja.",
)
def compile_command(
    names: tuple[str, ...],
    directory: str,
    emit: tuple[str, ...],
    target: str,
    features: tuple[str, ...],
    deliver: str,
    symbol_prefix: str,
    no_debug: bool,
    depfile: str | None,
    **loading: Any,
) -> None:
    """Compile each FILE to DIR/<stem>.o and what else --emit names.

    FILE is a path or a path in the library, such as tdx/host.seam.

    \b
    Examples:
      seamir compile leaves.seam
      seamir compile tdx/host.seam -o build --emit obj,asm,header,manifest
      seamir compile tdx/host.seam --leaf 'TDH.MEM.*' --target linux-user
      seamir compile tdx/host.seam --conduit seamcall=seamcall_preserving
    """
    compilations = [
        compiler.compile(
            compiler.load(name, **loading),
            target=target,
            features=features,
            emit=emit,
            deliver=deliver,
            symbol_prefix=symbol_prefix,
            debug=not no_debug,
        )
        for name in names
    ]
    written = compiler.write_all(compilations, directory)
    if depfile is not None:
        inputs = {path for compilation in compilations for path in compilation.program.paths}
        text = depfile_text(written, sorted(inputs))
        place = Path(depfile)
        write_files(place.parent, {place.name: text.encode("utf-8", "surrogateescape")}, inputs)
    for compilation in compilations:
        _show(compilation.diagnostics)


@main.command(name="check", cls=SeamCommand)
@click.argument("names", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print diagnostics; JSON goes to the standard output.",
)
@_loading
def check_command(names: tuple[str, ...], style: str, **loading: Any) -> None:
    """Check each FILE and print what is wrong with it.

    \b
    Examples:
      seamir check leaves.seam
      seamir check leaves.seam --format json
    """
    found: list[Diagnostic] = []
    for name in names:
        try:
            found += compiler.check(compiler.load(name, **loading))
        except SeamError as error:
            found += error.diagnostics
    if style == "json":
        click.echo(json.dumps([diagnostic.to_json() for diagnostic in found], indent=2))
    else:
        _show(found)
    errors = {diagnostic.code for diagnostic in found if diagnostic.severity == "error"}
    if errors:
        sys.exit(2 if errors <= BAD_REQUEST else 1)


@main.command(name="list", cls=SeamCommand)
@click.argument("names", metavar="FILE...", nargs=-1, required=True)
@_loading
def list_command(names: tuple[str, ...], **loading: Any) -> None:
    """List the wrappers that each FILE would emit.

    \b
    Example:
      seamir list tdx/host.seam --leaf 'TDH.MNG.*'
    """
    from seamir.explain import list_plans

    plans = []
    for name in names:
        program = compiler.load(name, **loading)
        found, warnings = compiler.plans_of(program, TARGETS[DEFAULT_TARGET])
        _show(warnings)
        plans += found
    click.echo(list_plans(plans), nl=False)


@main.command(name="explain", cls=SeamCommand)
@click.argument("name", metavar="FILE|CODE")
@click.argument("leaf", metavar="[LEAF]", required=False)
@_targeting
@_loading
def explain_command(
    name: str,
    leaf: str | None,
    target: str,
    features: tuple[str, ...],
    deliver: str,
    symbol_prefix: str,
    **loading: Any,
) -> None:
    """Explain a leaf of FILE, or an error CODE.

    For a leaf or symbol: its operand table, the contract in words, the attempt bound, and the
    emitted instructions, each with the line it comes from.

    \b
    Examples:
      seamir explain tdx/host.seam TDH.MEM.PAGE.REMOVE
      seamir explain E0304
    """
    from seamir.explain import explain_code, explain_plan

    if leaf is None:
        if os.path.exists(name) or name.endswith(".seam"):
            raise click.UsageError("name a leaf too, such as TDH.MEM.PAGE.REMOVE")
        click.echo(explain_code(name), nl=False)
        return
    loading["leaves"] = (*loading["leaves"], leaf)
    compilation = compiler.compile(
        compiler.load(name, **loading),
        target=target,
        features=features,
        deliver=deliver,
        symbol_prefix=symbol_prefix,
    )
    _show(compilation.diagnostics)
    texts = [explain_plan(plan, compilation) for plan in compilation.plans]
    click.echo("\n".join(texts), nl=False)
