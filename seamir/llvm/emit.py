"""From the text of a module to object code, assembly and LLVM IR.

Code generation changes the module it works on, so every emission parses a fresh copy.
"""

from __future__ import annotations

import platform
import threading
from functools import cache

from llvmlite import binding as llvm

from seamir.diagnostics import fail
from seamir.targets import Target

LLVM_MAJOR = 22  # what the code was tested with; others make other code or end the process

_LOCK = threading.Lock()


def llvm_version() -> str:
    """The version of LLVM in use, such as "22.1.0"."""
    return ".".join(str(part) for part in llvm.llvm_version_info)


def llvmlite_version() -> str:
    """The version of the llvmlite package in use."""
    import llvmlite

    return str(llvmlite.__version__)


def host_architecture() -> str:
    """What this machine is; LLVM as llvmlite ships it assembles only for its own."""
    return platform.machine().lower()


def is_native() -> bool:
    """Whether this machine can generate x86-64 code."""
    return host_architecture() in ("x86_64", "amd64")


def _require() -> None:
    """Raises SeamError on a machine that is not x86-64, where LLVM would abort the process.

    Also if llvmlite has an LLVM that was never tested.
    """
    if not is_native():
        message = f"code generation needs an x86-64 machine and this one is {host_architecture()}"
        help = "headers, manifests and checks work here; emit objects on x86-64"
        raise fail("E0805", message, help=help)
    if llvm.llvm_version_info[0] != LLVM_MAJOR:
        found = f"llvmlite {llvmlite_version()} has LLVM {llvm_version()}"
        message = f"code generation needs LLVM {LLVM_MAJOR}, and {found}"
        raise fail("E0804", message, help="pip install seamir brings a llvmlite that fits")


@cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()  # without it, inline assembly aborts the process


def _machine(target: Target) -> llvm.TargetMachine:
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu="x86-64",
        features="",
        opt=2,
        reloc=target.relocation_model,
        codemodel=target.code_model,
    )


def emit_object(text: str, target: Target) -> bytes:
    """The object, ELF or COFF as the target has it, of a module given as text."""
    _require()
    with _LOCK:
        _initialize()
        module = _parse(text)
        return bytes(_machine(target).emit_object(module))


def emit_assembly(text: str, target: Target) -> str:
    """The assembly, as LLVM prints it, of a module given as text."""
    _require()
    with _LOCK:
        _initialize()
        module = _parse(text)
        machine = _machine(target)
        machine.set_asm_verbosity(False)
        return str(machine.emit_assembly(module))


def emit_bitcode(text: str, target: Target) -> bytes:
    """The bitcode of a module given as text, for linkers that optimise."""
    _require()
    with _LOCK:
        _initialize()
        module = _parse(text)
        # Linkers refuse bitcode without it.
        module.data_layout = str(_machine(target).target_data)
        return bytes(module.as_bitcode())


def _parse(text: str) -> llvm.ModuleRef:
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    return module
