"""Line information: every instruction of a wrapper belongs to a line of the description."""

from __future__ import annotations

from llvmlite import ir

from seamir.ir.leaf import Plan
from seamir.llvm.extensions import DebugNode, add_module_flag
from seamir.source import Source, Span

PRODUCER = "seamir"


class DebugInfo:
    """Makes LLVM's line metadata for one module; names of files are logical, so relative."""

    def __init__(self, module: ir.Module, main: Source, *, only_lines: bool) -> None:
        self._module = module
        self._files: dict[str, ir.DIValue] = {}
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

    def function(self, plan: Plan) -> FunctionLines:
        """The lines of a function, whose entry is at the line that defines the wrapper."""
        line, file = plan.span.line, self._file(plan.span.source).get_reference()
        words = [
            f'file: {file}, line: {line}, name: "{plan.symbol}", scopeLine: {line}',
            "spFlags: DISPFlagDefinition | DISPFlagOptimized",
            f"type: {self._type.get_reference()}, unit: {self._unit.get_reference()}",
        ]
        subprogram = DebugNode(self._module, f"distinct !DISubprogram({', '.join(words)})")
        return FunctionLines(self, subprogram, plan.span.source)

    def part(self, subprogram: DebugNode, source: Source) -> DebugNode:
        """The part of a function that is in another file than its entry."""
        file, scope = self._file(source).get_reference(), subprogram.get_reference()
        text = f"!DILexicalBlockFile(discriminator: 0, file: {file}, scope: {scope})"
        return DebugNode(self._module, text)

    def location(self, scope: DebugNode, span: Span) -> DebugNode:
        """The place of a span; `scope` is a function or a part of one."""
        line, column = span.source.position(span.start)
        place = f"column: {column}, line: {line}, scope: {scope.get_reference()}"
        return DebugNode(self._module, f"!DILocation({place})")


class FunctionLines:
    """Places of one function's instructions; `subprogram` is its entry."""

    def __init__(self, info: DebugInfo, subprogram: DebugNode, source: Source) -> None:
        self._info, self.subprogram = info, subprogram
        self._scopes = {source: subprogram}
        self._locations: dict[Span, DebugNode] = {}

    def at(self, span: Span) -> DebugNode:
        """The place of a span, which may be in another file than the wrapper."""
        if span not in self._locations:
            source = span.source
            if source not in self._scopes:
                self._scopes[source] = self._info.part(self.subprogram, source)
            self._locations[span] = self._info.location(self._scopes[source], span)
        return self._locations[span]


def _encodable(name: str) -> str:
    """A file name that has UTF-8; the name on disk may be any bytes."""
    return name.encode("utf-8", "replace").decode("utf-8")
