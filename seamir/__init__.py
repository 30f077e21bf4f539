"""seamir: exact register-level wrappers for SEAMCALL and TDCALL, from a description.

    program = seamir.load("leaves.seam")
    result = seamir.compile(program, target="linux-kernel", emit=("obj", "header"))
    result.write("build")

Nothing here prints, exits or keeps state; what is wrong with a description is a SeamError that
carries Diagnostics. Importing this package loads neither llvmlite nor lark. See docs/api.md.
"""

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
from seamir.source import Source, Span
from seamir.syntax.loader import ParsedFiles
from seamir.targets import FEATURES, TARGETS, Target, select_target
from seamir.version import VERSION as __version__

__all__ = [
    "FEATURES",
    "TARGETS",
    "Compilation",
    "Diagnostic",
    "Note",
    "Output",
    "ParsedFiles",
    "Program",
    "SeamError",
    "Source",
    "Span",
    "Target",
    "__version__",
    "check",
    "compile",
    "list_outputs",
    "load",
    "load_text",
    "select_target",
    "write_all",
]
