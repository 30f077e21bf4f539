"""What llvmlite.ir lacks and we need: callbr, string attributes in groups, module flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

# llvmlite makes a table when it first escapes a string, and another thread could see half of it.
ir.values._escape_string("")


class CallBranch(ir.instructions.CallInstr):  # type: ignore[misc]  # llvmlite has no types
    """`callbr`: inline assembly that falls through or jumps to one of the indirect blocks."""

    def __init__(
        self,
        parent: ir.Block,
        function: ir.InlineAsm,
        arguments: Sequence[ir.Value],
        fall_through: ir.Block,
        indirect: Sequence[ir.Block],
        name: str = "",
    ) -> None:
        super().__init__(parent, function, arguments, name=name)
        self.opname = "callbr"
        self.fall_through = fall_through
        self.indirect = tuple(indirect)

    def descr(self, buf: list[str]) -> None:
        """Appends the instruction's text."""
        super()._descr(buf, add_metadata=False)
        labels = ", ".join(f"label {block.get_reference()}" for block in self.indirect)
        metadata = self._stringify_metadata(leading_comma=True)
        fall_through = self.fall_through.get_reference()
        buf.append(f"      to label {fall_through} [{labels}]{metadata}\n")


def add_call_branch(
    builder: ir.IRBuilder,
    assembly: ir.InlineAsm,
    arguments: Sequence[ir.Value],
    fall_through: ir.Block,
    indirect: Sequence[ir.Block],
) -> ir.Value:
    """Ends the builder's block with a callbr and returns its result."""
    instruction = CallBranch(builder.block, assembly, arguments, fall_through, indirect)
    builder._set_terminator(instruction)
    return instruction


class Function(ir.Function):  # type: ignore[misc]  # llvmlite has no types
    """A function that may carry several kinds of metadata, which no comma separates.

    `finish` says that it is written: from then on it is its text and no more, since the
    instructions of all functions of a module would take twenty times the memory.
    """

    _text: str | None = None

    def finish(self) -> None:
        """Makes the text and takes the function apart, so that no references form circles."""
        self._text = super().__str__()
        for block in self.blocks:
            for instruction in block.instructions:
                if isinstance(instruction, ir.PhiInstr):
                    instruction.incomings.clear()
            block.instructions.clear()
            block.terminator = None
        self.blocks.clear()
        self.args, self.scope = (), None

    def __str__(self) -> str:
        return super().__str__() if self._text is None else self._text

    def _stringify_metadata(self, leading_comma: bool = False) -> str:
        return " ".join(f"!{kind} {value.get_reference()}" for kind, value in
                        sorted(self.metadata.items()))  # fmt: skip


class DebugNode:
    """A node of a module's metadata, such as "!DILocation(column: 1, line: 2, scope: !3)".

    It is the text that llvmlite would make. A module has many of them, and as values of llvmlite,
    which hashes each with all that it refers to, they would take most of its memory and time.
    """

    __slots__ = ("_reference", "_text")

    def __init__(self, module: ir.Module, text: str = "") -> None:
        self._reference = f"!{len(module.metadata)}"
        self._text = text
        module.metadata.append(self)

    def write(self, text: str) -> None:
        """Sets the text of a node that others had to refer to before it was known."""
        self._text = text

    def get_reference(self) -> str:
        """How others refer to it."""
        return self._reference

    def __str__(self) -> str:
        return f"{self._reference} = {self._text}"


class DebugValue:
    """A record in a block: from here on a variable has a value. It is no instruction."""

    __slots__ = ("_text",)

    def __init__(
        self, value: ir.Value, variable: DebugNode, expression: str, location: DebugNode
    ) -> None:
        operand = f"{value.type} {value.get_reference()}"
        where = location.get_reference()
        self._text = f"  #dbg_value({operand}, {variable.get_reference()}, {expression}, {where})"

    def __str__(self) -> str:
        return self._text


def add_debug_value(builder: ir.IRBuilder, record: DebugValue) -> None:
    """Appends a record to the builder's block."""
    builder.block.instructions.append(record)
    builder.position_at_end(builder.block)


def rolled_loop(module: ir.Module) -> DebugNode:
    """What the branches back to the start of a loop refer to, so that it stays one copy."""
    hint = DebugNode(module, '!{!"llvm.loop.unroll.disable"}')
    itself = f"!{len(module.metadata)}"
    return DebugNode(module, f"distinct !{{{itself}, {hint.get_reference()}}}")


class AttributeGroup(ir.values.FunctionAttributes):  # type: ignore[misc]  # llvmlite has no types
    """Function attributes by reference to a group, which may hold string attributes."""

    def __init__(self, number: int, attributes: Sequence[str]) -> None:
        super().__init__()
        self.number = number
        self.group = tuple(attributes)

    def __bool__(self) -> bool:
        return True

    def _to_list(self, _return_type: Any) -> list[str]:
        return [f"#{self.number}"]


def module_text(module: ir.Module, groups: Sequence[AttributeGroup]) -> str:
    """The module's text with its attribute groups."""
    lines = [f"attributes #{g.number} = {{ {' '.join(g.group)} }}" for g in groups]
    return str(module) + "\n" + "\n".join(lines) + "\n"


def add_module_flag(module: ir.Module, behaviour: int, name: str, value: int) -> None:
    """Adds a module flag; `behaviour` is LLVM's rule for merging (2: warning, 8: minimum)."""
    word = ir.IntType(32)
    module.add_named_metadata(
        "llvm.module.flags",
        module.add_metadata([ir.Constant(word, behaviour), name, ir.Constant(word, value)]),
    )
