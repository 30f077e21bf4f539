"""The command `seamir verify`: proves the wrappers of a file and says what came of it."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seamir import compiler, terminal
from seamir.cli_command import SeamCommand, data_of, print_json, show, show_more
from seamir.cli_options import as_json, choosing, loading, targeting
from seamir.completion.values import a_file, an_object
from seamir.diagnostics import Diagnostic

if TYPE_CHECKING:
    from seamir.proving import Verification


@click.command(name="verify", cls=SeamCommand)
@click.argument("name", metavar="FILE", shell_complete=a_file)
@click.option(
    "--object",
    "given",
    metavar="OBJ",
    type=click.Path(),
    shell_complete=an_object,
    help="The object with the code. What seamir makes of FILE if not given.",
)
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    help="Give up a wrapper after that time; no limit if not given.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Prove in N processes at once. As many as there are processors if not given.",
)
@click.option(
    "--replay", is_flag=True, help="Execute each call that goes wrong in an emulator, and show it."
)
@click.option("--no-cache", is_flag=True, help="Neither use nor keep what was proved before.")
@as_json
@targeting
@choosing
@loading
@click.pass_context
def verify_command(
    context: click.Context,
    /,
    name: str,
    given: str | None,
    timeout: float | None,
    jobs: int | None,
    replay: bool,
    no_cache: bool,
    as_json: bool,
    target: str,
    features: tuple[str, ...],
    deliver: str,
    symbol_prefix: str,
    **loading: Any,
) -> None:
    """Prove that the code of each wrapper in FILE does what the description says.

    For all values of the parameters and all that the other side may do: operands, status,
    outputs, memory, registers of the caller, faults. The code is what seamir makes, or that of an
    object with functions of the same prototypes, from whatever compiler.

    \b
    Examples:
      seamir verify tdx/host.seam
      seamir verify tdx/host.seam --object build/host.o --leaf 'TDH.MEM.*'
    """
    from seamir import proving
    from seamir.progress import showing_progress

    gc.enable()  # each proof leaves cycles, and in them all that z3 knew of it
    with showing_progress() as tell:
        tell(f"parsing {name}", 0, 0)
        verification = proving.prove(
            compiler.load(name, **loading),
            target=target,
            features=features,
            object=given,
            deliver=deliver,
            symbol_prefix=symbol_prefix,
            timeout=timeout,
            jobs=jobs,
            cache=None if no_cache else _cache_folder(),
            progress=tell,
        )
    if as_json:
        _print_data(verification, replay)
    else:
        _print_report(verification, replay)
    if not verification.is_proved:
        context.exit(1)


def _cache_folder() -> Path:
    """Where proofs are kept from one call to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "seamir" / "proofs"


def _print_data(verification: Verification, replay: bool) -> None:
    from seamir.proving.report import report_json

    warnings = data_of(_warnings(verification))
    print_json({**report_json(verification, replay=replay), "warnings": warnings})


def _print_report(verification: Verification, replay: bool) -> None:
    from seamir.proving.report import (
        RIGHT,
        assumption_lines,
        failure_lines,
        replay_text,
        summary,
        table,
    )
    from seamir.proving.verification import failure_diagnostic

    show(_warnings(verification))
    terminal.show_table(table(verification), RIGHT)
    shown = []
    for plan, proof in zip(verification.plans, verification.proofs, strict=True):
        for failure in proof.failures:
            diagnostic = failure_diagnostic(proof, failure)
            shown.append(diagnostic)
            lines = [diagnostic.render(), *failure_lines(plan, failure)]
            terminal.show("\n".join(lines) + "\n\n", terminal.DIAGNOSTICS, err=True)
            if replay and failure.counterexample is not None:
                text = replay_text(verification, plan, failure.counterexample)
                terminal.show(f"{text}\n", terminal.RUN, err=True)
    show_more(shown)
    for line in assumption_lines(verification):
        click.echo(line)
    click.echo(summary(verification))


def _warnings(verification: Verification) -> list[Diagnostic]:
    return [one for one in verification.diagnostics if one.severity == "warning"]
