"""The C types of a module as debuggers see them: those that the generated header has."""

from __future__ import annotations

from collections.abc import Iterable

from llvmlite import ir

from seamir.ir.leaf import Argument, ArgumentKind, Plan, Returns, Struct
from seamir.llvm.extensions import DebugNode
from seamir.model.types import BUILTIN_TYPES, Layout, Type

# Name, bits and encoding of what the integers of the header are made of.
_BASES = {
    "u8": ("unsigned char", 8, "unsigned_char"),
    "u16": ("unsigned short", 16, "unsigned"),
    "u32": ("unsigned int", 32, "unsigned"),
    "u64": ("unsigned long", 64, "unsigned"),
    "s8": ("signed char", 8, "signed_char"),
    "s16": ("short", 16, "signed"),
    "s32": ("int", 32, "signed"),
    "s64": ("long", 64, "signed"),
    "bool": ("_Bool", 8, "boolean"),
}
_U64 = BUILTIN_TYPES["u64"]
# A member: name, reference to its type, its size and its offset in bits.
_Member = tuple[str, str, int, int]


class DebugTypes:
    """Makes each type of a module once. Types are references such as "!7", "null" for void."""

    def __init__(self, module: ir.Module) -> None:
        self._module = module
        self._made: dict[str, str] = {}

    def function(self, plan: Plan) -> str:
        """The type of a plan's function."""
        types = [self._returned(plan), *(self.argument(plan, a) for a in plan.arguments)]
        return self._node(f"!DISubroutineType(types: {self.list_of(types)})")

    def argument(self, plan: Plan, argument: Argument) -> str:
        """The type of an argument, arrays as pointers to their first element."""
        if argument.kind is ArgumentKind.VALUE:
            return self.value(argument.type)
        if argument.kind is ArgumentKind.STRUCT and plan.struct is not None:
            return self._pointer(self._struct(plan.struct))
        target = self.value(argument.type)
        if argument.layout is not None:
            target = self._layout(argument.layout)
        if argument.kind is ArgumentKind.IN:
            target = self._node(f"!DIDerivedType(tag: DW_TAG_const_type, baseType: {target})")
        return self._pointer(target)

    def value(self, kind: Type) -> str:
        """The type of a value, by its name in C."""
        root = BUILTIN_TYPES[kind.c_base].name
        if root == "ptr":
            base = self._pointer("null")
        else:
            name, size, encoding = _BASES[root]
            what = f'name: "{name}", size: {size}, encoding: DW_ATE_{encoding}'
            base = self._node(f"!DIBasicType({what})")
            base = base if root == "bool" else self._typedef(root, base)
        return base if kind.c_name is None else self._typedef(kind.c_name, base)

    def word(self) -> str:
        """The type of a status, and of whatever else has 64 bits."""
        return self.value(_U64)

    def list_of(self, references: Iterable[str]) -> str:
        """A list of nodes."""
        return self._node(f"!{{{', '.join(references)}}}")

    def _returned(self, plan: Plan) -> str:
        if plan.returns in (Returns.NO_STATUS, Returns.NOTHING):
            return "null"
        if plan.returns is Returns.STATUS:
            return self.word()
        value = plan.returned.type
        if plan.returns is Returns.VALUE:
            return self.value(value)
        members = [
            ("status", self.word(), 64, 0),
            ("value", self.value(value), value.width, 64),
        ]
        return self._structure(plan.result_tag, 16, members)

    def _struct(self, struct: Struct) -> str:
        members = []
        for member in struct.members:
            kind, size = self.value(member.type), member.type.width
            if member.length is not None:
                size *= member.length
                count = self._node(f"!DISubrange(count: {member.length})")
                what = f"baseType: {kind}, size: {size}, elements: {self.list_of([count])}"
                kind = self._node(f"!DICompositeType(tag: DW_TAG_array_type, {what})")
            members.append((member.name, kind, size, 8 * member.offset))
        return self._structure(struct.name, struct.size, members)

    def _layout(self, layout: Layout) -> str:
        """A structure of registers; of one that is defined elsewhere, what is known of it."""
        ordered = sorted(layout.members, key=lambda member: member.offset)
        members = [(member.name, self.word(), 64, 8 * member.offset) for member in ordered]
        return self._structure(layout.name, layout.size, members)

    def _structure(self, tag: str, size: int, members: Iterable[_Member]) -> str:
        nodes = [
            self._node(
                f'!DIDerivedType(tag: DW_TAG_member, name: "{name}", baseType: {kind}, '
                f"size: {bits}, offset: {offset})"
            )
            for name, kind, bits, offset in members
        ]
        what = f'name: "{tag}", size: {8 * size}, elements: {self.list_of(nodes)}'
        return self._node(f"!DICompositeType(tag: DW_TAG_structure_type, {what})")

    def _typedef(self, name: str, base: str) -> str:
        what = f'tag: DW_TAG_typedef, name: "{name}", baseType: {base}'
        return self._node(f"!DIDerivedType({what})")

    def _pointer(self, target: str) -> str:
        what = f"tag: DW_TAG_pointer_type, baseType: {target}, size: 64"
        return self._node(f"!DIDerivedType({what})")

    def _node(self, text: str) -> str:
        if text not in self._made:
            self._made[text] = DebugNode(self._module, text).get_reference()
        return self._made[text]
