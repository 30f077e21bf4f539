"""The outputs of a compilation, one row each: name, file suffix, and what makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from seamir.exports import GPL, Export
from seamir.ir.leaf import Plan
from seamir.source import Source
from seamir.targets import Target
from seamir.version import VERSION

if TYPE_CHECKING:
    from seamir.objects.cost import Cost


@dataclass(frozen=True)
class EmitContext:
    """What outputs are made from. Each emission of LLVM starts from the module's text."""

    plans: tuple[Plan, ...]
    target: Target
    stem: str
    main: Source
    debug: bool
    prefixes: tuple[tuple[str, str], ...] = ()  # of file names in debug data: see mapped_name
    export: Export = GPL

    @property
    def source_name(self) -> str:
        """The description's name as generated files show it."""
        return self.main.logical_name or self.main.name

    def module(self, debug: str, *, for_linking: bool = False) -> str:
        """The LLVM module as text: see emit_module."""
        from seamir.llvm.codegen import emit_module

        return emit_module(
            self.plans, self.target, self.main, debug, self.prefixes, for_linking=for_linking
        )

    @cached_property
    def object_code(self) -> bytes:
        """The object with all lines in place, made once however many outputs need it."""
        from seamir.llvm.emit import emit_object
        from seamir.objects.linetable import place_all

        return place_all(emit_object(self.module("full" if self.debug else "none"), self.target))

    @cached_property
    def assembly(self) -> str:
        """The assembly as LLVM prints it, with lines but without data for debuggers."""
        from seamir.llvm.emit import emit_assembly

        return emit_assembly(self.module("directives" if self.debug else "none"), self.target)

    @cached_property
    def costs(self) -> Mapping[str, Cost]:
        """Bytes, instructions and stack bytes of each function."""
        from seamir.objects.cost import measure
        from seamir.objects.reading import read_object

        contents = read_object(self.object_code)
        fixups = contents.fixups(self.target.fixup_section)
        return {
            function.name: measure(function, [e for e in fixups if e.function == function.name])
            for function in contents.functions
        }


@dataclass(frozen=True)
class OutputKind:
    """`suffix` of the file; `make` returns its bytes.

    `kbuild`: it is for Linux's Kbuild alone. `brings` are outputs that are made with it.
    """

    suffix: str
    make: Callable[[EmitContext], bytes]
    kbuild: bool = False
    brings: tuple[str, ...] = ()


def _object(context: EmitContext) -> bytes:
    return context.object_code


def _assembly(context: EmitContext) -> bytes:
    from seamir.emit.assembly import annotate

    text = annotate(context.assembly, context.plans, context.target, context.prefixes)
    return text.encode("utf-8")


def _linux_assembly(context: EmitContext) -> bytes:
    from seamir.emit.assembly_linux import emit_linux_assembly

    text = emit_linux_assembly(
        context.assembly, context.plans, context.target, context.source_name, context.prefixes
    )
    return text.encode("utf-8")


def _llvm_ir(context: EmitContext) -> bytes:
    return context.module("full" if context.debug else "none").encode("utf-8")


def _bitcode(context: EmitContext) -> bytes:
    from seamir.llvm.emit import emit_bitcode

    debug = "full" if context.debug else "none"
    return emit_bitcode(context.module(debug, for_linking=True), context.target)


def _header(context: EmitContext) -> bytes:
    from seamir.emit.header import emit_header

    text = emit_header(context.plans, context.target, context.stem, context.source_name)
    return text.encode("utf-8")


def _manifest(context: EmitContext) -> bytes:
    from seamir.emit.manifest import emit_manifest
    from seamir.llvm.emit import is_native, llvm_version

    costs = context.costs if is_native() else None
    versions = {"seamir": VERSION, "llvm": llvm_version()}
    text = emit_manifest(context.plans, context.target, context.source_name, costs, versions)
    return text.encode("utf-8")


def _docs(context: EmitContext) -> bytes:
    from seamir.emit.docs import emit_docs

    return emit_docs(context.plans, context.target, context.source_name).encode("utf-8")


def _exports(context: EmitContext) -> bytes:
    from seamir.emit.kbuild import emit_exports

    text = emit_exports(context.plans, context.stem, context.source_name, context.export)
    return text.encode("utf-8")


def _kbuild(context: EmitContext) -> bytes:
    return _fragment(context, shipped=True)


def _kbuild_of_assembly(context: EmitContext) -> bytes:
    return _fragment(context, shipped=False)


def _fragment(context: EmitContext, *, shipped: bool) -> bytes:
    from seamir.emit.kbuild import emit_fragment

    text = emit_fragment(context.stem, context.source_name, context.export, shipped=shipped)
    return text.encode("utf-8")


OUTPUTS: dict[str, OutputKind] = {
    "obj": OutputKind(".o", _object),
    "asm": OutputKind(".s", _assembly),
    "llvm-ir": OutputKind(".ll", _llvm_ir),
    "bitcode": OutputKind(".bc", _bitcode),
    "header": OutputKind(".h", _header),
    "manifest": OutputKind(".json", _manifest),
    "docs": OutputKind(".md", _docs),
    "shipped": OutputKind(".o_shipped", _object, kbuild=True),
    "exports": OutputKind("_exports.c", _exports, kbuild=True, brings=("header",)),
    "kbuild": OutputKind(".kbuild", _kbuild, kbuild=True, brings=("header", "shipped", "exports")),
}

# Whom assembly is for, GNU as or a tree of Linux: the outputs that this makes other ones.
ASSEMBLY_STYLES: dict[str, dict[str, OutputKind]] = {
    "gnu": {},
    "linux": {
        "asm": OutputKind(".S", _linux_assembly, kbuild=True),
        "kbuild": OutputKind(
            ".kbuild", _kbuild_of_assembly, kbuild=True, brings=("header", "asm", "exports")
        ),
    },
}
DEFAULT_STYLE = "gnu"


def outputs_with(asm_style: str) -> dict[str, OutputKind]:
    """The outputs, where assembly has that style."""
    return {**OUTPUTS, **ASSEMBLY_STYLES[asm_style]}


def all_outputs(
    rows: Mapping[str, OutputKind], kinds: Sequence[str], export: Export
) -> dict[str, OutputKind]:
    """The outputs of these names with those that they bring, each once."""
    found = [name for kind in kinds for name in (*rows[kind].brings, kind)]
    return {name: rows[name] for name in found if name != "exports" or export.kind != "none"}
