"""Errors that people make in wrappers: each makes a wrong one of a right one in data/foreign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KERNEL, USER = "linux-kernel", "linux-user"


@dataclass(frozen=True)
class Wrong:
    """An error in the wrapper of a file: lines as they are there, once, and what became of them.

    `review` is what a reviewer says of it. It is an error on `targets`, and on others none.
    `unseen` says why the scenarios of execution.py need not show it, where they need not.
    """

    file: str
    name: str
    review: str
    edits: Mapping[str, str]
    targets: tuple[str, ...] = (KERNEL, USER)
    unseen: str = ""

    def __str__(self) -> str:
        return f"{self.file}, {self.name}"


_OPERANDS = (
    Wrong(
        "page_mode",
        "lost zero-extension",
        "The bits above `mode` are the caller's garbage, and all but eight of them go into RCX.",
        {"movzbl %dil, %eax": "movl %edi, %eax"},
    ),
    Wrong(
        "page_mode",
        "zeros for a sign",
        "`delta` is signed: -1 becomes 65535.",
        {"movswq %dx, %rdx": "movzwl %dx, %edx"},
    ),
    Wrong(
        "page_mode",
        "half a sign",
        "The upper half of RDX is 0 where `delta` is negative.",
        {"movswq %dx, %rdx": "movswl %dx, %edx"},
    ),
    Wrong(
        "cpu_read",
        "selector written in part",
        "RAX[63:16] has what the caller had there.",
        {"movl $37, %eax": "movw $37, %ax"},
    ),
    Wrong(
        "page_remove",
        "operand not loaded again",
        "RDX is loaded once: the second attempt passes what the first one returned.",
        {
            "movl $10, %ebp": "movq %rdi, %rdx\n\tmovl $10, %ebp",
            "\tmovq %rdi, %rdx\n\tmovl $29": "\tmovl $29",
        },
    ),
    Wrong(
        "page_remove",
        "sum for a union",
        "`gpa` and `level` are added: where the caller breaks its promise the carry goes into gpa.",
        {"orq %rsi, %rbx": "addq %rsi, %rbx"},
    ),
    Wrong(
        "page_remove-on_stack",
        "half an address",
        "The upper half of `tdr` is lost on its way over the stack.",
        {"movq %rdi, 8(%rsp)": "movl %edi, 8(%rsp)\n\tmovl $0, 12(%rsp)"},
    ),
    Wrong(
        "pages_add",
        "an element too many",
        "With two pages the third one is read, and it is not there.",
        {"\tje .Lload\n": ""},
    ),
    Wrong(
        "pages_add",
        "signed bound",
        "2**63 pages and more are fewer than three where the comparison is signed.",
        {"ja .Lmany": "jg .Lmany"},
    ),
    Wrong(
        "pages_add",
        "half a bound",
        "Only the lower half of `n` is compared: 2**32 pages pass for none.",
        {"cmpq $3, %rsi": "cmpl $3, %esi"},
        unseen="one in twelve scenarios with a broken bound has such a number",
    ),
    Wrong(
        "list_export",
        "operand not carried",
        "An interrupted export begins anew: RCX is read from memory, where its start is.",
        {
            "movq (%rdi), %rcx\n": "\n",
            "movl $34, %eax": "movq (%rdi), %rcx\n\tmovl $34, %eax",
        },
    ),
    Wrong(
        "list_export",
        "resumption not marked",
        "The second attempt does not say in R10 that it goes on.",
        {"\tbtsq $63, %r12\n": ""},
    ),
)

_EXPOSURE = (
    Wrong(
        "host_ask",
        "mask without an operand",
        "R13 is loaded with `part` and not in the mask: the host sees 0 there.",
        {"movl $0x3c08, %ecx": "movl $0x1c08, %ecx"},
    ),
    Wrong(
        "host_ask",
        "mask with one register more",
        "R14 is in the mask and nothing is loaded there: the host sees what the caller had.",
        {"movl $0x3c08, %ecx": "movl $0x7c08, %ecx"},
    ),
    Wrong(
        "host_ask",
        "exposed and not cleared",
        "The host sees the caller's RBX.",
        {"\txorl %ebx, %ebx\n": ""},
    ),
    Wrong(
        "host_ask",
        "answer left in a register",
        "The caller was promised that nothing of the host's is left, and R11 has its answer.",
        {"\txorl %r11d, %r11d\n": ""},
    ),
)

_CALLERS_REGISTERS = (
    Wrong(
        "host_ask",
        "clobber not saved",
        "The host changes R13, which the caller wants back.",
        {
            "\tpushq %r13\n": "\tsubq $8, %rsp\n",
            "\tpopq %r13\n": "\taddq $8, %rsp\n",
        },
    ),
    Wrong(
        "cpu_enter",
        "registers exchanged",
        "R12 and R13 are popped in the order in which they were pushed.",
        {"popq %r13\n\tpopq %r12": "popq %r12\n\tpopq %r13"},
    ),
    Wrong(
        "cpu_enter-frame",
        "frame pointer trusted",
        "RBP is the other side's after the call, and the frame is looked for there.",
        {"\tleaq 48(%rsp), %rbp\n": ""},
    ),
    Wrong(
        "cpu_enter-frame",
        "frame pointer not restored",
        "RBP is the address of the frame at return.",
        {"\tleave\n": "\taddq $56, %rsp\n"},
    ),
    Wrong(
        "page_remove",
        "missing pop",
        "Four registers are pushed and three are popped: the return goes to the caller's RBX.",
        {"\tpopq %rbp\n": ""},
    ),
    Wrong(
        "page_remove",
        "missing pop on one way out",
        "Only what did not complete leaves R13 on the stack.",
        {
            "\tpopq %r13\n": "\tpopq %r13\n.Lothers:\n",
            "jmp .Lout": "jmp .Lothers",
        },
    ),
    Wrong(
        "cpu_read",
        "counter in a register of the caller",
        "RBX is not the wrapper's to use.",
        {"\tTDCALL\n": "\tTDCALL\n\tmovl $1, %ebx\n"},
    ),
    Wrong(
        "page_track",
        "vector register used",
        "XMM0 belongs to user space there, and nobody has saved it.",
        {"movq %rcx, (%rsi)": "movq %rcx, %xmm0\n\tmovq %xmm0, (%rsi)"},
        targets=(KERNEL,),
        unseen="the emulator looks at vector registers only where code may use them",
    ),
    Wrong(
        "page_mode",
        "direction flag left set",
        "C expects DF clear: the caller's next copy goes backwards.",
        {".Lcarry:\n": ".Lcarry:\n\tstd\n"},
    ),
    Wrong(
        "cache_flush",
        "direction flag left set by a retry",
        "Only a call that was repeated returns with DF set.",
        {"jns .Lattempt": "js .Lout\n\tstd\n\tjmp .Lattempt"},
    ),
    Wrong(
        "page_track",
        "stack not aligned for the call",
        "RSP is no multiple of 16 at the call, and C code with SSE faults.",
        {"\tsubq $8, %rsp\t\t\t/* aligned for the call */\n": "", "\taddq $8, %rsp\n": ""},
        targets=(USER,),
    ),
    Wrong(
        "host_ask-red_zone",
        "kept in the red zone",
        "The kernel has none: an interrupt overwrites what is below RSP.",
        {},
        targets=(KERNEL,),
    ),
)

_AFTER_THE_CALL = (
    Wrong(
        "page_remove",
        "pointer in a register that the call destroys",
        "R9 does not survive the call, and `state` is stored to where it points then.",
        {"movq %r8, %r13": "movq %r8, %r9", "movq %rdx, (%r13)": "movq %rdx, (%r9)"},
    ),
    Wrong(
        "page_track",
        "pointer used after a function of C",
        "The function called may change RSI.",
        {
            "\tmovq $0, (%rsi)\n\tsubq": "\tsubq",
            "\taddq $8, %rsp\n": "\taddq $8, %rsp\n\tmovq $0, (%rsi)\n",
        },
    ),
    Wrong(
        "page_track",
        "status before a function of C",
        "The function called returns nothing, so RAX is anything after it.",
        {"\txorl %eax, %eax\n": "", "call spurious": "xorl %eax, %eax\n\tcall spurious"},
    ),
    Wrong(
        "page_remove",
        "outputs exchanged",
        "RCX is `entry` and RDX is `state`.",
        {"movq %rcx, (%r12)": "movq %rdx, (%r12)", "movq %rdx, (%r13)": "movq %rcx, (%r13)"},
    ),
    Wrong(
        "page_remove",
        "output not cleared",
        "`state` keeps what the caller had there if the call did not complete.",
        {"\tmovq $0, (%r13)\n": ""},
    ),
    Wrong(
        "field_read",
        "store too wide",
        "`last` has 32 bits: the store also writes the four bytes after it.",
        {"movl %r9d, 16(%rsi)": "movq %r9, 16(%rsi)"},
    ),
    Wrong(
        "field_read",
        "store too narrow",
        "The upper half of `value` is left as it was.",
        {"movq %rcx, 8(%rsi)": "movl %ecx, 8(%rsi)"},
    ),
    Wrong(
        "field_read",
        "store beside the member",
        "`size` is at offset 2, as C aligns it.",
        {"movw %dx, 2(%rsi)": "movw %dx, 1(%rsi)"},
    ),
    Wrong(
        "field_read",
        "NULL not tested",
        "The structure is optional, and no test of its address is made.",
        {"\ttestq %rsi, %rsi\n\tjz .Lout\n": ""},
    ),
    Wrong(
        "field_read",
        "half of NULL tested",
        "An address whose lower half is 0 passes for NULL.",
        {"testq %rsi, %rsi": "testl %esi, %esi"},
        unseen="no region of a scenario is at such an address",
    ),
    Wrong(
        "field_read",
        "written though the call did not complete",
        "What was there has to stay: a carry clears `last`.",
        {
            ".Lcarry:\n": ".Lcarry:\n\ttestq %rsi, %rsi\n\tjz 1f\n\tmovl $0, 16(%rsi)\n1:\n",
        },
    ),
    Wrong(
        "field_read",
        "condition inverted",
        "`value` is delivered on errors only.",
        {"cmovzq": "cmovnzq"},
    ),
    Wrong(
        "list_export",
        "one bit of the status",
        "Success is bits 63:62 both 0, and only bit 63 is tested.",
        {"shrq $30, %r8": "shrq $31, %r8"},
    ),
    Wrong(
        "host_ask",
        "status from the wrong half",
        "The status is R10[31:0].",
        {"movl %r10d, %eax": "shrq $32, %r10\n\tmovl %r10d, %eax"},
    ),
    Wrong(
        "cpu_enter",
        "output from the wrong half",
        "`upper` is R12[63:32].",
        {"\tshrq $32, %r12\n": ""},
    ),
)

_ATTEMPTS = (
    Wrong(
        "page_remove",
        "one attempt too many",
        "Nine retries are ten attempts.",
        {"movl $10, %ebp": "movl $11, %ebp"},
    ),
    Wrong(
        "list_export",
        "one resumption too few",
        "The count is compared after it went up.",
        {
            "\tcmpl $5, %ebp": "\tincl %ebp\n\tcmpl $5, %ebp",
            "\tjae .Ldone\n\tincl %ebp\n": "\tjae .Ldone\n",
        },
    ),
    Wrong(
        "cache_flush",
        "one attempt of a thousand too many",
        "`jns` goes on at 0 too, so the count begins at 1000.",
        {"movl $1000, %esi": "movl $1001, %esi"},
    ),
    Wrong(
        "cache_flush",
        "count lost in the call",
        "RDX does not survive the call.",
        {"movl $1000, %esi": "movl $1000, %edx", "subl $1, %esi": "subl $1, %edx"},
    ),
    Wrong(
        "cache_flush-apart",
        "status of one cache lost",
        "After the second attempt for cache 0 the status is 0, whatever it was.",
        {
            "cmpl %edx, %ecx": "testq %rdi, %rdi\n\tcmovzq %rdi, %rax\n\tcmpl %edx, %ecx",
        },
    ),
    Wrong(
        "cache_probe",
        "slot taken for what it was",
        "The slot at RSP is compared with what was there at entry, and a retry overwrites it.",
        {
            "movl $3, 8(%rsp)": "movq (%rsp), %rsi\n\tmovl $3, 8(%rsp)",
            "movq %rax, %rdx": "cmpq (%rsp), %rsi\n\tcmovneq %rdi, %rax\n\tmovq %rax, %rdx",
            "decl 8(%rsp)": "movq %rax, (%rsp)\n\tdecl 8(%rsp)",
        },
    ),
    Wrong(
        "page_remove",
        "detail compared",
        "Busy is busy whatever is in the lower half: only detail 0 is repeated.",
        {
            "\tshrq $32, %r8\n": "\tmovabsq $0x8000020000000000, %r9\n",
            "cmpl $0x80000200, %r8d": "cmpq %r9, %r8",
        },
    ),
)

_EDGES = (
    Wrong(
        "page_mode",
        "carry not tested",
        "Nobody answered, and the leaf number comes back as a status.",
        {"\tjc .Lcarry\n": ""},
    ),
    Wrong(
        "page_remove",
        "carry tested too late",
        "The shift has changed CF.",
        {"\tjc .Lcarry\n": "", "\tshrq $32, %r8\n": "\tshrq $32, %r8\n\tjc .Lcarry\n"},
    ),
    Wrong(
        "page_remove-on_stack",
        "carry lost in the count",
        "`sub` changes CF, which `dec` does not.",
        {"decb 32(%rsp)": "subb $1, 32(%rsp)"},
    ),
    Wrong(
        "page_mode",
        "no entry",
        "A fault at the instruction goes to nobody.",
        {"\tFIXUP(.Lcall, .Lfault, 2)\n": ""},
    ),
    Wrong(
        "page_mode",
        "entry of the instruction before",
        "The entry is of the load of RAX, which cannot fault.",
        {"\tmovl $30, %eax\n.Lcall:\n": ".Lcall:\n\tmovl $30, %eax\n"},
    ),
    Wrong(
        "list_export",
        "entry for a load too",
        "A bad address would be told as a fault of the call: the kernel has to oops there.",
        {"\tmovq (%rdi), %rcx\n": ".Lload:\n\tmovq (%rdi), %rcx\n\tFIXUP(.Lload, .Lfault, 2)\n"},
        unseen="no scenario passes an address that leads nowhere",
    ),
    Wrong(
        "page_mode",
        "entry leads to the other edge",
        "A fault goes on where carry does.",
        {"FIXUP(.Lcall, .Lfault, 2)": "FIXUP(.Lcall, .Lcarry, 2)"},
    ),
    Wrong(
        "page_remove",
        "entry leads to the loop",
        "A fault tries again without end, as busy does with one.",
        {"FIXUP(.Lcall, .Lfault, 2)": "FIXUP(.Lcall, .Lattempt, 2)"},
    ),
    Wrong(
        "page_mode",
        "two entries",
        "The kernel sorts its table, and takes either of the two.",
        {"\tjc .Lcarry\n": "\tFIXUP(.Lcall, .Lfault, 2)\n\tjc .Lcarry\n"},
        unseen="both say the same here",
    ),
    Wrong(
        "page_mode",
        "entry without the vector",
        "Type 1 leaves RAX alone: the leaf number is taken for the vector.",
        {"FIXUP(.Lcall, .Lfault, 2)": "FIXUP(.Lcall, .Lfault, 1)"},
    ),
    Wrong(
        "page_track",
        "vector of another fault",
        "#UD is 6.",
        {"cmpl $6, %eax": "cmpl $13, %eax"},
    ),
    Wrong(
        "host_ask",
        "refusal not tested",
        "The module refused, and R10 is what it was before.",
        {"\tjnz .Lrefused\n": ""},
    ),
    Wrong(
        "host_ask",
        "half a refusal tested",
        "The class of a refusal is in the upper half of RAX.",
        {"testq %rax, %rax": "testl %eax, %eax"},
    ),
    Wrong(
        "page_mode",
        "no end",
        "A carry is waited for without end.",
        {".Lcarry:\n": ".Lcarry:\n\tjmp .Lcarry\n"},
    ),
)

WRONG = (*_OPERANDS, *_EXPOSURE, *_CALLERS_REGISTERS, *_AFTER_THE_CALL, *_ATTEMPTS, *_EDGES)
