"""seamir: exact register-level wrappers for SEAMCALL and TDCALL, from a description.

    program = seamir.load("leaves.seam")
    result = seamir.compile(program, target="linux-kernel", emit=("obj", "header"))
    result.write("build")

Nothing here prints, exits or keeps state; what is wrong with a description is a SeamError that
carries Diagnostics. See docs/api.md.

Importing this package loads nothing: each name below comes from its module when it is first used.
pytest imports the package in every run, for the plugin in it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from seamir.version import VERSION as __version__

if TYPE_CHECKING:
    from seamir.compiler import (
        Compilation,
        Output,
        Program,
        check,
        compile,
        list_outputs,
        load,
        load_text,
        write_all,
    )
    from seamir.diagnostics import Diagnostic, Note, SeamError
    from seamir.proving import Verification, prove
    from seamir.source import Source, Span
    from seamir.syntax.loader import ParsedFiles
    from seamir.targets import FEATURES, TARGETS, Target, select_target
    from seamir.verify.result import Counterexample, Failure, Proof, Verdict

__all__ = [
    "FEATURES",
    "TARGETS",
    "Compilation",
    "Counterexample",
    "Diagnostic",
    "Failure",
    "Note",
    "Output",
    "ParsedFiles",
    "Program",
    "Proof",
    "SeamError",
    "Source",
    "Span",
    "Target",
    "Verdict",
    "Verification",
    "__version__",
    "check",
    "compile",
    "list_outputs",
    "load",
    "load_text",
    "prove",
    "select_target",
    "write_all",
]

# The imports above once more, for programs that run.
_MODULES = {
    "compiler": "Compilation Output Program check compile list_outputs load load_text write_all",
    "diagnostics": "Diagnostic Note SeamError",
    "proving": "Verification prove",
    "source": "Source Span",
    "syntax.loader": "ParsedFiles",
    "targets": "FEATURES TARGETS Target select_target",
    "verify.result": "Counterexample Failure Proof Verdict",
}

if not TYPE_CHECKING:  # a type checker would take any name for public

    def __getattr__(name: str) -> Any:
        """A public name, from its module; Python asks for those that are not here."""
        for module, names in _MODULES.items():
            if name in names.split():
                return getattr(import_module(f"seamir.{module}"), name)
        raise AttributeError(f"module `seamir` has no attribute `{name}`")


def __dir__() -> list[str]:
    """What is here and what is public."""
    return sorted({*globals(), *__all__})
