"""`seamir run`: one call of a compiled wrapper, against an other side that a script describes.

`arguments` reads NAME=VALUE, `script` the outcomes of the attempts; `record` executes the call,
`decode` says what was seen, and `report` makes text or JSON of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamir.compiler import Compilation, constants_of
from seamir.diagnostics import Diagnostic
from seamir.run.arguments import read_arguments
from seamir.run.record import DisagreementError, Record, execute
from seamir.run.report import report_json, report_text
from seamir.run.script import read_script
from seamir.run.values import Vocabulary

__all__ = ["Record", "report_json", "report_text", "run_call", "stop_on_differences"]


def run_call(
    compilation: Compilation, words: Sequence[str], script: str | None
) -> tuple[Record, tuple[Diagnostic, ...]]:
    """Calls the one wrapper of a compilation; returns what was seen, and warnings.

    `words` are NAME=VALUE, `script` what the other side does (None: every call succeeds). Raises
    SeamError if these make no sense, or if unicorn is missing.
    """
    (plan,) = compilation.plans
    vocabulary = Vocabulary(constants_of(compilation.program), plan.conduit.families)
    call = read_arguments(plan, words, vocabulary)
    side = read_script(plan, script, vocabulary)
    data, target = compilation.outputs["obj"].data, compilation.target
    record = execute(data, target, plan, call, side, vocabulary.constants)
    return record, call.warnings


def stop_on_differences(record: Record) -> None:
    """Raises DisagreementError if the code does not do what its plan means."""
    if record.differences:
        raise DisagreementError(f"{record.plan.symbol}: {'; '.join(record.differences)}")
