"""What the commands of the command line have in common: errors, and the exit status they mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from seamir import terminal
from seamir.cli_help import write_sections
from seamir.diagnostics import Diagnostic, SeamError, render

Result = TypeVar("Result")

BAD_REQUEST = frozenset(
    {"E0801", "E0802", "E0803", "E0806", "E0809"}
    | {"E0901", "E0902", "E0903", "E0904", "E0905", "E0906"}
)


class SeamCommand(click.Command):
    """A command that shows diagnostics and exits with 1, or 2 if the command line is at fault."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except SeamError as error:
            if ctx.params.get("as_json"):
                print_json(data_of(error.diagnostics))
            else:
                show(error.diagnostics)
            codes = {diagnostic.code for diagnostic in error.diagnostics}
            ctx.exit(2 if codes <= BAD_REQUEST else 1)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes what --help says after the options."""
        write_sections(str(self.name), formatter)


def once(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Each diagnostic once, though several files may import the file that it is about."""
    return list({diagnostic.render(): diagnostic for diagnostic in diagnostics}.values())


def each(names: Iterable[str], function: Callable[[str], Result]) -> list[Result]:
    """What the function makes of each name; raises SeamError with the errors of all of them."""
    results: list[Result] = []
    errors: list[Diagnostic] = []
    for name in names:
        try:
            results.append(function(name))
        except SeamError as error:
            errors += error.diagnostics
    if errors:
        raise SeamError(once(errors))
    return results


def show(diagnostics: Iterable[Diagnostic]) -> None:
    """Prints diagnostics to the standard error, each once, and which commands say more."""
    diagnostics = once(diagnostics)
    if not diagnostics:
        return
    terminal.show(f"{render(diagnostics)}\n", terminal.DIAGNOSTICS, err=True)
    show_more(diagnostics)


def show_more(diagnostics: Iterable[Diagnostic]) -> None:
    """Prints how many errors were shown, and which commands say more about them."""
    errors = [diagnostic for diagnostic in diagnostics if diagnostic.severity == "error"]
    codes = dict.fromkeys(diagnostic.code for diagnostic in errors if diagnostic.span is not None)
    commands = [f"`seamir explain {code}`" for code in codes][:3]
    if commands:
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        named = " and ".join(filter(None, (", ".join(commands[:-1]), commands[-1])))
        click.echo(f"{count}; {named} {'says' if len(commands) == 1 else 'say'} more", err=True)


def data_of(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """Diagnostics as data, each once."""
    return [diagnostic.to_json() for diagnostic in once(diagnostics)]


def print_json(data: Any) -> None:
    """Prints data to the standard output."""
    click.echo(json.dumps(data, indent=2))
