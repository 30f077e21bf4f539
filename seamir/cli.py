"""The command line: arguments in, exit status out. All work is done by seamir.compiler."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from seamir import compiler, terminal
from seamir.cli_command import BAD_REQUEST, SeamCommand, data_of, each, print_json, show
from seamir.cli_options import (
    as_json,
    choosing,
    debugging,
    loading,
    naming,
    searching,
    separated,
    targeting,
)
from seamir.cli_verify import verify_command
from seamir.completion.shells import SHELLS, register_shells, script
from seamir.completion.values import a_file, a_file_or_code, a_leaf, a_value, one_of, some_of
from seamir.diagnostics import Diagnostic, SeamError, printable
from seamir.exports import DEFAULT_EXPORT, EXPORTS
from seamir.ir.leaf import Plan
from seamir.outputs import ASSEMBLY_STYLES, DEFAULT_STYLE
from seamir.syntax.loader import ParsedFiles
from seamir.targets import DEFAULT_TARGET, TARGETS
from seamir.version import VERSION


@click.group(
    invoke_without_command=True,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--version", is_flag=True, help="Show the version and exit.")
@click.option("--verbose", is_flag=True, help="With --version: name LLVM and Python too.")
@click.option("--json", "as_json", is_flag=True, help="With --version: print JSON.")
@click.pass_context
def main(context: click.Context, version: bool, verbose: bool, as_json: bool) -> None:
    """Compile descriptions of TDX leaf functions to machine code.

    \b
    Examples:
      seamir compile tdx/host.seam -o build --emit obj,header
      seamir explain tdx/host.seam TDH.MEM.PAGE.REMOVE

    The help of each command has all that one needs to use it.

    Exit status: 0 done, 1 an error in a file, 2 a bad command line, 70 a defect of seamir.
    """
    if version:
        _show_version(verbose, as_json)
        context.exit()
    if context.invoked_subcommand is None:
        raise click.UsageError("name a command")
    if as_json:
        raise click.UsageError("--json comes after the command")


def _show_version(verbose: bool, as_json: bool) -> None:
    versions = {"seamir": VERSION}
    if verbose:
        from seamir.llvm.emit import llvm_version, llvmlite_version
        from seamir.syntax.files import library_folder

        versions |= {"llvm": llvm_version(), "llvmlite": llvmlite_version()}
        versions |= {"python": sys.version.split()[0], "library": str(library_folder())}
    if as_json:
        print_json(versions)
        return
    click.echo(f"seamir {VERSION}")
    if verbose:
        click.echo("LLVM {llvm} in llvmlite {llvmlite}\nPython {python}".format(**versions))
        click.echo(f"library {printable(versions['library'])}")


def main_status() -> int:
    """Runs the command line on the arguments of the process; returns the exit status.

    Raises what the standard output raises when it cannot be written, and what defects raise.
    """
    register_shells()
    try:
        status = main(prog_name="seamir", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    if sys.stdout is not None:
        sys.stdout.flush()
    return status if isinstance(status, int) else 0


@main.command(name="compile", cls=SeamCommand)
@naming
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
    callback=separated,
    shell_complete=some_of(compiler.list_outputs()),
    help=f"Outputs, separated by commas: {', '.join(compiler.list_outputs())}. [default: obj]",
)
@click.option(
    "--asm-style",
    default=DEFAULT_STYLE,
    show_default=True,
    metavar="|".join(ASSEMBLY_STYLES),
    shell_complete=one_of(ASSEMBLY_STYLES),
    help="Whether asm is for GNU as, or a .S file with the macros of Linux.",
)
@targeting
@click.option(
    "--export",
    default=DEFAULT_EXPORT,
    show_default=True,
    metavar="|".join(EXPORTS),
    shell_complete=one_of(EXPORTS),
    help="To whom the outputs kbuild and exports export functions: namespace:NAME, "
    "modules:NAME,... to those.",
)
@choosing
@loading
@debugging
@click.option(
    "--depfile",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write the files read as a rule for make or ninja.",
)
@as_json
def compile_command(
    names: tuple[str, ...],
    directory: str,
    emit: tuple[str, ...],
    asm_style: str,
    target: str,
    features: tuple[str, ...],
    deliver: str,
    symbol_prefix: str,
    export: str,
    no_debug: bool,
    debug_prefix_map: dict[str, str],
    depfile: str | None,
    as_json: bool,
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
      seamir compile tdx/host.seam -o module --emit kbuild --export namespace:TDX
    """
    from seamir.progress import showing_progress

    if not emit:
        raise click.UsageError("--emit names no output")
    parsed = ParsedFiles()

    def compile_one(name: str) -> compiler.Compilation:
        tell(f"parsing {name}", 0, 0)
        return compiler.compile(
            compiler.load(name, parsed=parsed, **loading),
            target=target,
            features=features,
            emit=emit,
            asm_style=asm_style,
            deliver=deliver,
            symbol_prefix=symbol_prefix,
            export=export,
            debug=not no_debug,
            progress=tell,
            debug_prefix_map=debug_prefix_map,
        )

    with showing_progress() as tell:
        compilations = each(names, compile_one)
        files = compiler.write_outputs(compilations, directory, depfile)
    warnings = [warning for made in compilations for warning in made.diagnostics]
    if as_json:
        print_json({"files": [file.to_json() for file in files], "warnings": data_of(warnings)})
    else:
        show(warnings)


@main.command(name="check", cls=SeamCommand)
@naming
@as_json
@choosing
@loading
@click.pass_context
def check_command(
    context: click.Context, /, names: tuple[str, ...], as_json: bool, **loading: Any
) -> None:
    """Check each FILE and print what is wrong with it.

    \b
    Examples:
      seamir check leaves.seam
      seamir check leaves.seam --json
    """
    found: list[Diagnostic] = []
    parsed = ParsedFiles()
    for name in names:
        try:
            found += compiler.check(compiler.load(name, parsed=parsed, **loading))
        except SeamError as error:
            found += error.diagnostics
    if as_json:
        print_json(data_of(found))
    else:
        show(found)
    errors = {diagnostic.code for diagnostic in found if diagnostic.severity == "error"}
    if errors:
        context.exit(2 if errors <= BAD_REQUEST else 1)


@main.command(name="list", cls=SeamCommand)
@naming
@as_json
@searching
@choosing
@loading
def list_command(
    names: tuple[str, ...],
    as_json: bool,
    reads: tuple[str, ...],
    writes: tuple[str, ...],
    statuses: tuple[str, ...],
    effect: str | None,
    leaf_version: int | None,
    since: str | None,
    via: str | None,
    **loading: Any,
) -> None:
    """List the wrappers that each FILE would emit, or those that fulfil all that is asked for.

    \b
    Examples:
      seamir list tdx/host.seam --leaf 'TDH.MNG.*'
      seamir list tdx/host.seam --writes r8 --effect none
    """
    from seamir.listing import RIGHT, Search, find, list_rows, plan_rows

    parsed = ParsedFiles()

    def plans_of(name: str) -> tuple[tuple[Plan, ...], tuple[Diagnostic, ...]]:
        program = compiler.load(name, parsed=parsed, **loading)
        return compiler.plans_of(program, TARGETS[DEFAULT_TARGET])

    found = each(names, plans_of)
    warnings = [warning for _, some in found for warning in some]
    if not as_json:
        show(warnings)
    search = Search(reads, writes, statuses, effect, leaf_version, since, via)
    plans = find([plan for plans, _ in found for plan in plans], search)
    if as_json:
        print_json({"wrappers": plan_rows(plans), "warnings": data_of(warnings)})
    else:
        terminal.show_table(list_rows(plans), RIGHT)


@main.command(name="explain", cls=SeamCommand)
@click.argument("name", metavar="FILE|CODE", shell_complete=a_file_or_code)
@click.argument("leaf", metavar="[LEAF]", required=False, shell_complete=a_leaf)
@as_json
@targeting
@loading
def explain_command(
    name: str,
    leaf: str | None,
    as_json: bool,
    target: str,
    features: tuple[str, ...],
    deliver: str,
    symbol_prefix: str,
    **loading: Any,
) -> None:
    """Explain a leaf of FILE, or an error CODE.

    For a leaf or symbol: its operand table, the contract in words, the attempt bound, and the
    emitted instructions, each with the line it comes from. LEAF may be a glob, and may be left
    out where FILE has one leaf only.

    \b
    Examples:
      seamir explain tdx/host.seam TDH.MEM.PAGE.REMOVE
      seamir explain E0304
    """
    from seamir import explain
    from seamir.llvm.emit import is_native

    if explain.is_code(name) and not os.path.exists(name):
        if leaf is not None:
            message = f"{name} is a code, not a file: nothing comes after it"
            raise click.UsageError(message)
        if as_json:
            print_json(explain.explain_code_data(name))
        else:
            terminal.show(explain.explain_code(name), terminal.PAGE)
        return
    if leaf is None and not name.endswith(".seam") and not os.path.exists(name):
        message = f"there is no file `{printable(name)}`; a leaf comes after its file"
        raise click.UsageError(message)
    emit = ["obj"] if is_native() else []
    emit += ["manifest"] if as_json else []
    compilation = compiler.compile(
        compiler.load(name, leaves=() if leaf is None else (leaf,), **loading),
        target=target,
        features=features,
        emit=emit,
        deliver=deliver,
        symbol_prefix=symbol_prefix,
        fallback=True,
    )
    if leaf is None and len(compilation.plans) > 1:
        raise click.UsageError(explain.name_leaves(name, compilation.plans))
    if as_json:
        print_json(explain.explain_data(compilation))
        return
    show(compilation.diagnostics)
    texts = [explain.explain_plan(plan, compilation) for plan in compilation.plans]
    if not is_native():
        texts.append("The instructions can be shown on an x86-64 machine only.\n")
    terminal.show("\n".join(texts), terminal.EXPLANATION)


@main.command(name="run", cls=SeamCommand)
@click.argument("name", metavar="FILE", shell_complete=a_file)
@click.argument("leaf", metavar="[LEAF]", required=False, shell_complete=a_leaf)
@click.argument("words", metavar="[NAME=VALUE]...", nargs=-1, shell_complete=a_value)
@click.option(
    "--script",
    metavar="TEXT",
    help="What the other side does, attempt by attempt. Every call succeeds if not given.",
)
@as_json
@targeting
@loading
def run_command(
    name: str,
    leaf: str | None,
    words: tuple[str, ...],
    script: str | None,
    as_json: bool,
    target: str,
    features: tuple[str, ...],
    deliver: str,
    symbol_prefix: str,
    **loading: Any,
) -> None:
    """Execute a wrapper against a scripted other side.

    The code runs in an emulator; shown are the registers at each attempt, and what the caller
    gets. Every parameter needs a value: a number, a constant, or a status. A script has an outcome
    for each attempt, the last one for all after it: a status with the registers that come back,
    carry, or a fault. LEAF is as for explain.

    \b
    Examples:
      seamir run tdx/host.seam TDH.MEM.TRACK tdr=0x1000
      seamir run tdx/host.seam TDH.MEM.TRACK tdr=0x1000 --script 'TDX_OPERAND_BUSY(RCX)'
      seamir run tdx/host.seam tdh_mng_rd tdr=0x1000 field=3 --script 'TDX_SUCCESS{r8=7}'
      seamir run tdx/host.seam TDH.MEM.TRACK tdr=0x1000 --script '#UD' --json
    """
    from seamir import run
    from seamir.explain import name_leaves

    if leaf is not None and "=" in leaf:
        words, leaf = (leaf, *words), None
    compilation = compiler.compile(
        compiler.load(name, leaves=() if leaf is None else (leaf,), **loading),
        target=target,
        features=features,
        deliver=deliver,
        symbol_prefix=symbol_prefix,
        debug=False,
        fallback=True,
    )
    if len(compilation.plans) > 1:
        raise click.UsageError(name_leaves(name, compilation.plans))
    if not as_json:
        show(compilation.diagnostics)
    record, warnings = run.run_call(compilation, words, script)
    if as_json:
        warnings = (*compilation.diagnostics, *warnings)
        print_json({**run.report_json(record), "warnings": data_of(warnings)})
    else:
        show(warnings)
        terminal.show(run.report_text(record), terminal.RUN)
    run.stop_on_differences(record)


main.add_command(verify_command)


@main.command(name="completion", cls=SeamCommand)
@click.argument("shell", metavar="|".join(SHELLS), type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print the script that makes SHELL complete seamir's command lines.

    \b
    Examples, each with where the script goes:
      seamir completion bash
        ~/.local/share/bash-completion/completions/seamir
      seamir completion zsh
        _seamir, in a folder of fpath
      seamir completion fish
        ~/.config/fish/completions/seamir.fish
    """
    click.echo(script(shell), nl=False)
