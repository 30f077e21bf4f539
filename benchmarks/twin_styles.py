"""The call itself, in each style; see twins.py for what a style is."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.trampoline import SW_ERROR, VMFAILINVALID, Trampoline, trampoline_for
from benchmarks.twin_writer import Twin, TwinError, hexadecimal
from seamir.ir.leaf import Load, Plan, Returns, ReturnValue
from seamir.model.entities import Action
from seamir.model.expressions import evaluate, possible
from seamir.model.registers import ABI_ORDER, ALL_BITS, CARRY_FLAG, REGISTERS
from seamir.targets import Target

# GCC's constraint letters; the other registers are bound to variables.
_LETTERS = {"rax": "a", "rbx": "b", "rcx": "c", "rdx": "d", "rsi": "S", "rdi": "D"}
_CARRY = "carried"  # the variable that takes the carry flag as an output


class InlineTwin(Twin):
    """What the two styles of inline assembly share: constraints and the fixup entry."""

    def __init__(self, plan: Plan, target: Target) -> None:
        super().__init__(plan, target)
        taken = plan.destroyed | set(self.loaded) | {"rsp", "rbp"}
        if plan.returns_carry and REGISTERS.keys() <= taken:
            raise TwinError(f"{plan.symbol}: no register is left for the carry flag")

    def _declare(self) -> None:
        self.outputs = set(self.read) | (self.plan.destroyed & set(self.loaded))
        if self.plan.catches_faults:
            self.outputs.add("rax")
        names = sorted({*self.outputs, *self.loaded}, key=lambda name: ABI_ORDER[name])
        if self.plan.returns_carry:
            self._line(f"u8 {_CARRY};")
        for name in names:
            if name in _LETTERS:
                self._line(f"u64 {name};")
            else:
                self._line(f'register u64 {name} asm("{name}");')

    def _operands(self) -> tuple[list[str], list[str], list[str]]:
        """Outputs, inputs and clobbers as C writes them."""
        order = ABI_ORDER.__getitem__
        outputs = [
            f'"{"+" if name in self.loaded else "="}{_LETTERS.get(name, "r")}"({name})'
            for name in sorted(self.outputs, key=order)
        ]
        if self.plan.returns_carry:
            outputs.append(f'[carried]"=q"({_CARRY})')
        only_read = sorted(set(self.loaded) - self.outputs, key=order)
        inputs = [f'"{_LETTERS.get(name, "r")}"({name})' for name in only_read]
        clobbers = sorted(self.plan.destroyed - self.outputs, key=order)
        if self.plan.destroys_memory:
            clobbers.append("memory")
        return outputs, inputs, [f'"{name}"' for name in (*clobbers, "cc")]

    def _load(self) -> None:
        for name in self.loaded:
            self._line(f"{name} = op_{name};")

    def _instruction(self) -> list[str]:
        code = ", ".join(f"0x{byte:02x}" for byte in self.plan.instruction.code)
        return [f"771: .byte {code}", *(["setc %[carried]"] if self.plan.returns_carry else [])]

    def _register(self, name: str) -> str:
        return f"(u64){_CARRY}" if name == CARRY_FLAG else name

    def _fixup(self, label: str) -> list[str]:
        return [
            f'.pushsection {self.target.fixup_section}, \\"a\\"',
            ".balign 4",
            ".long 771b - .",
            f".long {label} - .",
            f".long {self.target.fixup_type}",
            ".popsection",
        ]

    def _assembly(self, keyword: str, text: list[str], parts: Sequence[Sequence[str]]) -> None:
        self._line(f"{keyword}(")
        self.lines += [f'\t\t"{line}\\n"' for line in text]
        self.lines += [f"\t\t: {', '.join(part)}" for part in parts]
        self._line(");")


class GotoTwin(InlineTwin):
    """`asm goto` with outputs: the edges are labels."""

    def _attempt(self) -> None:
        self._load()
        text, labels = self._instruction(), []
        if self.plan.catches_faults:
            text += self._fixup("%l[fault]")
            labels.append("fault")
        if self.plan.edges.carry is not None:
            text.append("jc %l[carry]")
            labels.append("carry")
        parts = [*self._operands(), labels] if labels else list(self._operands())
        self._assembly("asm goto volatile" if labels else "asm volatile", text, parts)

    def _finish(self) -> None:
        if self.plan.edges.carry is not None:
            self.lines.append("carry:")
            self._line("{")
            self._action(self.plan.edges.carry)
            self._line("}")
        if self.plan.catches_faults:
            self.lines.append("fault:")
            self._line("{")
            self._line("__attribute__((unused)) const u64 vector = rax;")
            self._fault_actions()
            self._line("}")


class FlagsTwin(InlineTwin):
    """CF as an output: a fault comes back with CF set and RAX inverted."""

    def __init__(self, plan: Plan, target: Target) -> None:
        super().__init__(plan, target)
        self.carry, self.fault = plan.edges.carry is not None, plan.catches_faults
        if self.carry and self.fault:
            load = plan.load("rax")
            if load is None or not _is_below(load, ALL_BITS - 256):
                raise TwinError(f"{plan.symbol}: carry and fault cannot be told apart")

    def _attempt(self) -> None:
        self._load()
        text = self._instruction()
        if self.fault and not self.carry:
            text.append("clc")  # CF is the other side's
        if self.fault:
            text = self._with_fault(text)
        outputs, inputs, clobbers = self._operands()
        if not (self.carry or self.fault):
            self._assembly("asm volatile", text, (outputs, inputs, clobbers))
            return
        clobbers.remove('"cc"')
        self._line("_Bool failed;")
        self._assembly("asm volatile", text, (['"=@ccc"(failed)', *outputs], inputs, clobbers))
        self._line("if (unlikely(failed)) {")
        if self.fault:
            if self.carry:
                self._line("if (rax != op_rax) {")
            self._line("__attribute__((unused)) const u64 vector = ~rax;")
            self._fault_actions()
            if self.carry:
                self._line("}")
        if self.carry:
            self._action(self.plan.edges.carry)
        self._line("}")

    def _with_fault(self, text: list[str]) -> list[str]:
        """The instruction with code out of line for a fault."""
        away = ['.pushsection .text.fixup, \\"ax\\"', "773: notq %%rax", "stc", "jmp 772b"]
        return [*text, "772:", *away, ".popsection", *self._fixup("773b")]


def _is_below(load: Load, limit: int) -> bool:
    """Whether a register is known to be loaded with a value below the limit."""
    return possible(load.value).bits < limit


class NearFlagsTwin(FlagsTwin):
    """The same with the code for a fault inside the function, where emulators find it."""

    def _with_fault(self, text: list[str]) -> list[str]:
        near = ["jmp 771f", "773: notq %%rax", "stc", "jmp 772f"]
        return [*near, *text, "772:", *self._fixup("773b")]


class StructTwin(Twin):
    """Registers in a structure, and a routine in assembly."""

    def __init__(self, plan: Plan, target: Target) -> None:
        super().__init__(plan, target)
        if plan.returns_carry:
            raise TwinError(f"{plan.symbol}: the routine keeps the carry flag to itself")
        try:
            self.trampoline: Trampoline = trampoline_for(plan, self.read)
        except ValueError as error:
            raise TwinError(str(error)) from error

    def _register(self, name: str) -> str:
        return "twin_ret" if name == "rax" else f"twin_args.{name}"

    def _declare(self) -> None:
        self._line("__attribute__((unused)) u64 twin_ret;")
        self._line("struct twin_args twin_args;")

    def _attempt(self) -> None:
        fields = [f".{name} = op_{name}" for name in self.loaded if name != "rax"]
        rax = "op_rax" if "rax" in self.loaded else "0"
        self._line(f"twin_args = (struct twin_args){{ {', '.join(fields) or '0'} }};")
        self._line(f"twin_ret = {self.trampoline.name}({rax}, &twin_args);")
        if self._is_plain():
            return
        if self.plan.edges.carry is not None:
            self._line(f"if (unlikely(twin_ret == {hexadecimal(VMFAILINVALID)})) {{")
            self._action(self.plan.edges.carry)
            self._line("}")
        if self.plan.catches_faults:
            masked = f"(twin_ret & {hexadecimal(ALL_BITS & ~0xFF)})"
            self._line(f"if (unlikely({masked} == {hexadecimal(SW_ERROR)})) {{")
            self._line("__attribute__((unused)) const u64 vector = twin_ret & 0xff;")
            self._fault_actions()
            self._line("}")

    def _is_plain(self) -> bool:
        """Whether the routine's statuses and its zeros are all that the edges ask for."""
        plan, edges = self.plan, self.plan.edges
        if edges.vectors or any(delivery.keep for delivery in plan.deliveries):
            return False
        if plan.returns is not Returns.STATUS or plan.status is None:
            return False
        if plan.status.register != "rax":
            return False
        statuses = [VMFAILINVALID, *(SW_ERROR | vector for vector in range(32))]
        matches = [match for clause in plan.again for match in clause.matches]
        if any(match.accepts(status) for match in matches for status in statuses):
            return False
        return _returns(edges.carry, [VMFAILINVALID] * 32) and _returns(edges.fault, statuses[1:])


def _returns(action: Action | None, wanted: Sequence[int]) -> bool:
    """Whether an edge, if there is one, returns these statuses for the vectors 0, 1 and so on."""
    if action is None:
        return True
    return isinstance(action, ReturnValue) and all(
        evaluate(action.value, {}, vector) == status for vector, status in enumerate(wanted)
    )


WRITERS: dict[str, type[Twin]] = {
    "struct": StructTwin,
    "asm_goto": GotoTwin,
    "flags": FlagsTwin,
    "flags_near": NearFlagsTwin,
}
