"""Debug data: every instruction of a wrapper belongs to a line of the description.

The variables of a function are in debugvariables.py, their types in debugtypes.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from seamir.ir.leaf import Plan, Returns
from seamir.llvm.debugtypes import DebugTypes
from seamir.llvm.debugvariables import Variables
from seamir.llvm.extensions import DebugNode, add_module_flag
from seamir.source import Source, Span, mapped_name

PRODUCER = "seamir"


class DebugInfo:
    """Makes LLVM's debug metadata for one module.

    Names of files are logical, so relative, unless `prefixes` map them to others. With
    `only_directives` LLVM prints `.file` and `.loc` and no debug sections. Variables are there all
    the same: where one changes, LLVM ends a line, so without them the line table would be another.
    """

    def __init__(
        self,
        module: ir.Module,
        main: Source,
        prefixes: Sequence[tuple[str, str]],
        *,
        only_directives: bool,
    ) -> None:
        self._module, self._prefixes = module, prefixes
        self._files: dict[str, ir.DIValue] = {}
        kind = "DebugDirectivesOnly" if only_directives else "FullDebug"
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
        self._types = DebugTypes(module)

    def _file(self, source: Source) -> ir.DIValue:
        name = mapped_name(source.logical_name or source.name, self._prefixes)
        if name not in self._files:
            self._files[name] = self._module.add_debug_info(
                "DIFile", {"filename": name, "directory": ""}
            )
        return self._files[name]

    def function(self, plan: Plan) -> FunctionInfo:
        """The places and variables of a function; its entry is where the wrapper is defined."""
        subprogram = DebugNode(self._module)
        variables = Variables(self._module, self._types, plan, subprogram, self._place)
        subprogram.write(self._subprogram(plan, variables))
        return FunctionInfo(self, subprogram, plan.span.source, variables)

    def _subprogram(self, plan: Plan, variables: Variables) -> str:
        flags = "DIFlagPrototyped" + (" | DIFlagNoReturn" * (plan.returns is Returns.NOTHING))
        words = [
            f'name: "{plan.symbol}", {self._place(plan.span)}, scopeLine: {plan.span.line}',
            f"flags: {flags}, spFlags: DISPFlagDefinition | DISPFlagOptimized",
            f"unit: {self._unit.get_reference()}",
            f"type: {self._types.function(plan)}, retainedNodes: {variables.nodes()}",
        ]
        return f"distinct !DISubprogram({', '.join(words)})"

    def _place(self, span: Span) -> str:
        """File and line of a span, as nodes name them."""
        return f"file: {self._file(span.source).get_reference()}, line: {span.line}"

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


class FunctionInfo:
    """Places of one function's instructions, and its variables; `subprogram` is its entry."""

    def __init__(
        self,
        info: DebugInfo,
        subprogram: DebugNode,
        source: Source,
        variables: Variables,
    ) -> None:
        self._info, self.subprogram, self.variables = info, subprogram, variables
        self._scopes = {source: subprogram}
        self._locations: dict[Span, Location] = {}

    def at(self, span: Span) -> Location:
        """The place of a span, which may be in another file than the wrapper."""
        if span not in self._locations:
            self._locations[span] = Location(self, span)
        return self._locations[span]

    def location(self, span: Span) -> DebugNode:
        """The node of a place."""
        source = span.source
        if source not in self._scopes:
            self._scopes[source] = self._info.part(self.subprogram, source)
        return self._info.location(self._scopes[source], span)


class Location:
    """The place of a span as a node that is made when it is first referred to.

    No instruction comes of many values, such as constants; their places would cost time.
    """

    __slots__ = ("_function", "_reference", "_span")

    def __init__(self, function: FunctionInfo, span: Span) -> None:
        self._function, self._span = function, span
        self._reference: str | None = None

    def get_reference(self) -> str:
        """How instructions refer to it."""
        if self._reference is None:
            self._reference = self._function.location(self._span).get_reference()
        return self._reference
