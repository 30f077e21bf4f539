"""The assembly that the twins of style `struct` call: registers from a structure and back.

Linux goes the same way: a C function fills `struct tdx_module_args`, a routine in assembly loads
every register from it, executes the instruction, turns CF and faults into software statuses and,
if asked to, stores the registers back. Three variants, as there:

    plain   loads RCX, RDX, R8 to R11
    ret     the same, and stores them
    saved   loads and stores R12 to R15, RBX, RDI and RSI too, which it keeps for its caller

Unlike Linux, a variant that stores writes zeros if the call did not complete, since that is what
the plans promise.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamir.ir.leaf import Plan
from seamir.targets import Target

# Members of the structure in order, eight bytes each.
MEMBERS = (
    *("rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
    *("rbx", "rdi", "rsi"),
)
_FEW = MEMBERS[:6]
_PUSHED = ("rbx", "r12", "r13", "r14", "r15")

VMFAILINVALID = 0x8000FF00FFFF0000
SW_ERROR = 0x8000FF0000000000

STRUCTURE = """\
struct twin_args {
	u64 rcx, rdx, r8, r9, r10, r11;
	u64 r12, r13, r14, r15, rbx, rdi, rsi;
};"""


@dataclass(frozen=True)
class Trampoline:
    """One variant for one instruction; `name` is the C function."""

    name: str
    variant: str
    code: bytes
    carry: bool
    fault: bool


def trampoline_for(plan: Plan, needed: set[str]) -> Trampoline:
    """The cheapest variant for a plan that reads the `needed` registers after the call."""
    touched = set(plan.destroyed) | {load.register for load in plan.loads}
    unknown = touched - {"rax", *MEMBERS}
    if unknown:
        raise ValueError(f"{plan.symbol}: the structure has no {', '.join(sorted(unknown))}")
    few = {"rax", *_FEW}
    variant = "plain" if needed <= {"rax"} else "ret"
    variant = variant if touched <= few else "saved"
    carry, fault = plan.edges.carry is not None, plan.catches_faults
    edges = ("c" if carry else "") + ("f" if fault else "")
    name = "_".join(word for word in ("twin", plan.instruction.name, variant, edges) if word)
    return Trampoline(name, variant, plan.instruction.code, carry, fault)


def declaration(trampoline: Trampoline) -> str:
    """The prototype of a variant."""
    return f"u64 {trampoline.name}(u64 fn, struct twin_args *args);"


def assembly(trampoline: Trampoline, target: Target) -> str:
    """A variant as a top-level `asm` of a C file."""
    lines = [
        ".text",
        ".p2align 4",
        f".globl {trampoline.name}",
        f".type {trampoline.name}, @function",
        f"{trampoline.name}:",
        *_body(trampoline, target),
        f".size {trampoline.name}, . - {trampoline.name}",
    ]
    quoted = "\n".join(f'\t"{line}\\n"' for line in lines)
    return f"asm(\n{quoted}\n);"


def _body(trampoline: Trampoline, target: Target) -> list[str]:
    saved, stores = trampoline.variant == "saved", trampoline.variant != "plain"
    members = MEMBERS if saved else _FEW
    code = ", ".join(f"0x{byte:02x}" for byte in trampoline.code)
    lines = ["endbr64"] if "ibt" in target.features else []
    if saved:
        lines += [f"pushq %{name}" for name in (*_PUSHED, "rsi")]
    lines.append("movq %rdi, %rax")
    lines += [f"movq {8 * MEMBERS.index(name)}(%rsi), %{name}" for name in members]
    lines.append(f"771: .byte {code}")
    lines += ["jc 772f"] if trampoline.carry else []
    if saved:
        lines += ["xchgq %rsi, (%rsp)"]  # the structure's address against the other side's RSI
        lines += [f"movq %{name}, {8 * MEMBERS.index(name)}(%rsi)" for name in members[:-1]]
        lines += [f"popq {8 * MEMBERS.index('rsi')}(%rsi)"]
    elif stores:
        lines += [f"movq %{name}, {8 * MEMBERS.index(name)}(%rsi)" for name in members]
    lines += _leave(trampoline, target)
    if trampoline.carry:
        lines += ["772:", f"movabsq $0x{VMFAILINVALID:x}, %rax"]
        lines += ["jmp 774f"] if trampoline.fault else []
    if trampoline.fault:
        lines += ["773:", f"movabsq $0x{SW_ERROR:x}, %rdi", "orq %rdi, %rax"]
        lines += _fixup(target)
    if trampoline.carry or trampoline.fault:
        lines += ["774:", *(["popq %rsi"] if saved else [])]
        lines += ["xorl %ecx, %ecx"] if stores else []
        lines += [f"movq %rcx, {8 * MEMBERS.index(m)}(%rsi)" for m in members] if stores else []
        lines += _leave(trampoline, target)
    return lines


def _leave(trampoline: Trampoline, target: Target) -> list[str]:
    restored = [f"popq %{name}" for name in reversed(_PUSHED)]
    lines = restored if trampoline.variant == "saved" else []
    lines = [*lines, "jmp __x86_return_thunk" if "rethunk" in target.features else "ret"]
    return [*lines, "int3"] if "sls" in target.features else lines


def _fixup(target: Target) -> list[str]:
    return [
        f'.pushsection {target.fixup_section}, \\"a\\"',
        ".balign 4",
        ".long 771b - .",
        ".long 773b - .",
        f".long {target.fixup_type}",
        ".popsection",
    ]
