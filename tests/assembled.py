"""Objects made of assembly text, for tests of what looks at machine code."""

from __future__ import annotations

from functools import cache

from llvmlite import binding as llvm
from plans import U32, bits, deliver, edges, load, out, plan, returning, value

from seamir.targets import TARGETS, Target

KERNEL = TARGETS["linux-kernel"]
CALL = ".byte 0x66, 0x0f, 0x01, 0xcf"


@cache
def assemble(body: str, rest: str = "") -> bytes:
    """An object with the function `wrapper` made of assembly text; `rest` follows it."""
    text = f"""
        .text
        .globl wrapper
        .type wrapper,@function
    wrapper:
        {body}
        .size wrapper, . - wrapper
        {rest}
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    lines = "".join(
        'module asm "' + line.strip().replace('"', "\\22") + '"\n' for line in text.splitlines()
    )
    module = llvm.parse_assembly('target triple = "x86_64-unknown-linux-gnu"\n' + lines)
    machine = llvm.Target.from_triple("x86_64-unknown-linux-gnu").create_target_machine()
    return bytes(machine.emit_object(module))


def fixup(target: Target = KERNEL, kind: int = 2) -> str:
    """A row of the fixup table, from the label 771 to the label 772."""
    return f"""
        .section {target.fixup_section},"a"
        .long 771b - .
        .long 772b - .
        .long {kind}
    """


STORING = plan(
    value("a", U32),
    out("page"),
    loads=[load("rcx", "a")],
    deliveries=[deliver("page", bits("rcx"))],
    on=edges(on_carry=returning(7)),
)
# The pointer waits in a callee-saved register; carry stores 0 and returns 7.
STORING_CODE = f"""
    push %rbx; mov %rsi, %rbx; mov %edi, %ecx; mov $29, %eax
    771: {CALL}
    jc 1f; mov %rcx, (%rbx); pop %rbx; ret
    1: movq $0, (%rbx); mov $7, %eax; pop %rbx; ret
    772: movq $0, (%rbx); movabs $0x8000ff0000000000, %rcx; or %rcx, %rax; pop %rbx; ret
"""
