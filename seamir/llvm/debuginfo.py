"""Line information: every instruction of a wrapper belongs to a line of the description."""

from __future__ import annotations

from llvmlite import ir

from seamir.ir.leaf import Plan
from seamir.llvm.extensions import add_module_flag
from seamir.source import Source, Span

PRODUCER = "seamir"


class DebugInfo:
    """Makes LLVM's line metadata for one module; names of files are logical, so relative."""

    def __init__(self, module: ir.Module, main: Source, *, only_lines: bool) -> None:
        self._module = module
        self._files: dict[str, ir.DIValue] = {}
        self._scopes: dict[tuple[int, str], ir.DIValue] = {}
        kind = "DebugDirectivesOnly" if only_lines else "FullDebug"
        self._unit = module.add_debug_info(
            "DICompileUnit",
            {
                "language": ir.DIToken("DW_LANG_C11"),
                "file": self._file(main),
                "producer": PRODUCER,
                "runtimeVersion": 0,
                "isOptimized": True,
                "emissionKind": ir.DIToken(kind),
                "nameTableKind": ir.DIToken("None"),
            },
            is_distinct=True,
        )
        module.add_named_metadata("llvm.dbg.cu", self._unit)
        add_module_flag(module, 2, "Debug Info Version", 3)
        add_module_flag(module, 7, "Dwarf Version", 5)
        self._type = module.add_debug_info(
            "DISubroutineType", {"types": module.add_metadata([None])}
        )

    def _file(self, source: Source) -> ir.DIValue:
        name = source.logical_name or source.name
        if name not in self._files:
            self._files[name] = self._module.add_debug_info(
                "DIFile", {"filename": _encodable(name), "directory": ""}
            )
        return self._files[name]

    def subprogram(self, plan: Plan) -> ir.DIValue:
        """The function's entry, at the line that defines the wrapper."""
        return self._module.add_debug_info(
            "DISubprogram",
            {
                "name": plan.symbol,
                "file": self._file(plan.span.source),
                "line": plan.span.line,
                "scopeLine": plan.span.line,
                "type": self._type,
                "spFlags": ir.DIToken("DISPFlagDefinition | DISPFlagOptimized"),
                "unit": self._unit,
            },
            is_distinct=True,
        )

    def location(self, subprogram: ir.DIValue, plan: Plan, span: Span) -> ir.DIValue:
        """The place of a span, which may be in another file than the wrapper."""
        scope = subprogram
        if span.source is not plan.span.source:
            key = (id(subprogram), span.source.logical_name)
            if key not in self._scopes:
                self._scopes[key] = self._module.add_debug_info(
                    "DILexicalBlockFile",
                    {"scope": subprogram, "file": self._file(span.source), "discriminator": 0},
                )
            scope = self._scopes[key]
        line, column = span.source.position(span.start)
        return self._module.add_debug_info(
            "DILocation", {"line": line, "column": column, "scope": scope}
        )


def _encodable(name: str) -> str:
    """A file name that has UTF-8; the name on disk may be any bytes."""
    return name.encode("utf-8", "replace").decode("utf-8")
