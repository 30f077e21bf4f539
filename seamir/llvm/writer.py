"""What the writers of a function share: its LLVM function, where they are in it, small helpers."""

from __future__ import annotations

from llvmlite import ir

from seamir.ir.inlining import inlining_obstacle
from seamir.ir.leaf import Plan
from seamir.ir.type_ids import type_id
from seamir.llvm.constraints import call_assembly
from seamir.llvm.debuginfo import DebugInfo
from seamir.llvm.extensions import AttributeGroup, Function
from seamir.llvm.shapes import I8, I32, I64, argument_type, return_extension, return_type
from seamir.llvm.values import expression
from seamir.model.expressions import Expression
from seamir.source import Span
from seamir.targets import Target

LIKELY, UNLIKELY = 2000, 1


class Writer:
    """The function of one plan while it is written."""

    def __init__(
        self,
        module: ir.Module,
        plan: Plan,
        target: Target,
        attributes: AttributeGroup,
        debug: DebugInfo | None,
        externals: dict[str, ir.Function],
        for_linking: bool,
    ) -> None:
        self._module, self._plan, self._target = module, plan, target
        self._lines = debug.function(plan) if debug else None
        self._variables = self._lines.variables if self._lines else None
        self._externals, self._for_linking = externals, for_linking
        inlinable = for_linking and inlining_obstacle(plan) is None
        self._assembly = call_assembly(plan, target, inlinable=inlinable)
        kinds = [argument_type(a, for_linking=for_linking) for a in plan.arguments]
        returned = return_type(plan, for_linking=for_linking)
        self._function = Function(module, ir.FunctionType(returned, kinds), name=plan.symbol)
        extension = return_extension(plan) if for_linking else None
        if extension is not None:
            self._function.return_value.add_attribute(extension)
        self._function.attributes = attributes
        if plan.section != ".text":
            self._function.section = plan.section
        if self._lines is not None:
            self._function.set_metadata("dbg", self._lines.subprogram)
        if "kcfi" in target.features:
            number = module.add_metadata([ir.Constant(I32, type_id(plan, target))])
            self._function.set_metadata("kcfi_type", number)
        if plan.again and not for_linking:
            # With a count LLVM lays out the blocks of an unlikely attempt after the return. Beside
            # callers it would count as a profile.
            count = module.add_metadata(["function_entry_count", ir.Constant(I64, LIKELY)])
            self._function.set_metadata("prof", count)
        self._arguments: dict[str, ir.Value] = dict(
            zip((a.name for a in plan.arguments), self._function.args, strict=True)
        )
        for name, argument in self._arguments.items():
            argument.name = name
        self._builder = ir.IRBuilder(self._function.append_basic_block("entry"))
        self._values: dict[str, ir.Value] = {}
        self._memory: dict[str, ir.Value] = {}
        self._failures: list[tuple[ir.Value, ir.Block, dict[str, ir.Value]]] = []
        self._failed: ir.Block | None = None
        self._at(plan.span)
        for name, argument in self._arguments.items():
            self._show_argument(name, argument)

    # -- small helpers

    def _at(self, span: Span) -> None:
        """Instructions from here on belong to that place."""
        if self._lines is not None:
            self._builder.debug_metadata = self._lines.at(span)

    def _show_argument(self, name: str, value: ir.Value) -> None:
        """From here on debuggers find an argument in this value."""
        if self._variables is not None:
            self._variables.show_argument(self._builder, name, value)

    def _block(self, name: str) -> ir.Block:
        return self._function.append_basic_block(name)

    def _branch(self, condition: ir.Value, unlikely: ir.Block, likely: ir.Block) -> None:
        self._builder.cbranch(condition, unlikely, likely).set_weights([UNLIKELY, LIKELY])

    def _value(self, value: Expression, edge_value: ir.Value | None = None) -> ir.Value:
        return expression(self._builder, value, self._values, edge_value)

    def _address(self, base: ir.Value, offset: int) -> ir.Value:
        if offset == 0:
            return base
        return self._builder.gep(base, [ir.Constant(I64, offset)], source_etype=I8)

    # -- ends

    def _external(self, name: str) -> ir.Function:
        if name not in self._externals:
            existing = self._module.globals.get(name)
            self._externals[name] = existing or ir.Function(
                self._module, ir.FunctionType(ir.VoidType(), []), name=name
            )
        return self._externals[name]

    def _trap(self) -> None:
        if "llvm.trap" not in self._externals:
            self._externals["llvm.trap"] = ir.Function(
                self._module, ir.FunctionType(ir.VoidType(), []), name="llvm.trap"
            )
        self._builder.call(self._externals["llvm.trap"], [])
        self._builder.unreachable()

    def _fail(self, status: ir.Value) -> None:
        """Goes to the block that returns from a call that did not complete."""
        if isinstance(status, ir.Constant):
            status = self._placed(status)
        if self._failed is None:
            self._failed = self._block("failed")
        self._failures.append((status, self._builder.block, dict(self._arguments)))
        self._at(self._plan.span)  # LLVM may let several ways share the jump
        self._builder.branch(self._failed)

    def _placed(self, constant: ir.Constant) -> ir.Value:
        """The constant, put into a register here by assembly of no instructions.

        LLVM gives no line to a constant, and loads it where it likes. So it is loaded first in the
        block and gets this line. That is done without line information too, which is never to
        change the code.
        """
        through = ir.FunctionType(I64, [I64])
        return self._builder.call(ir.InlineAsm(through, "", "=r,0", side_effect=True), [constant])
