"""Errors of code generation up to the call: inputs, checks, the assembly; and attributes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from error_rows import Errors
from llvmlite import ir

from seamir.ir.leaf import (
    Argument,
    Bound,
    Check,
    Input,
    Plan,
)
from seamir.llvm import (
    codegen,
    constraints,
    inputs,
    parking,
    values,
    writer,
)
from seamir.llvm.function import FunctionWriter
from seamir.llvm.shapes import I64
from seamir.model.types import Type
from seamir.targets import Target

ERRORS = Errors()

# -- inputs


@ERRORS.of_writer("operands_v3", "rcx, an operand")
class SignExtension(FunctionWriter):
    """Unsigned parameters are extended by their sign."""

    def _extended(self, item: Input) -> ir.Value:
        value = self._read(item)
        return value if item.type.width == 64 else self._builder.sext(value, I64)


@ERRORS.of_writer("operands_v3", "r8, an operand")
class ZeroExtension(FunctionWriter):
    """Signed parameters are extended with zeros."""

    def _extended(self, item: Input) -> ir.Value:
        value = self._read(item)
        return value if item.type.width == 64 else self._builder.zext(value, I64)


@ERRORS.of_function((writer, "argument_type"), "operands_v3", "rdx, an operand")
def upper_bits_trusted(right: Any) -> Any:
    """The caller is taken to have extended narrow parameters."""

    def argument_type(argument: Argument, **options: Any) -> ir.Type:
        kind = right(argument, **options)
        return I64 if isinstance(kind, ir.IntType) else kind

    return argument_type


@ERRORS.of_writer("stacked", "r12, an operand")
class StackArgumentsOutOfOrder(FunctionWriter):
    """Two arguments that lie on the stack change places."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        given = self._arguments
        given["g"], given["h"] = given["h"], given["g"]


@ERRORS.of_writer("arrays", "[pages + 0], which need not be there")
class ElementBeforeItsCount(FunctionWriter):
    """An element is read before the test whether it is there."""

    def _bounded(self, item: Input, bound: Bound) -> ir.Value:
        value = self._extended(item)
        index = ir.Constant(I64, bound.index)
        is_there = self._builder.icmp_unsigned(">", self._values[bound.count], index)
        return self._builder.select(is_there, value, ir.Constant(I64, bound.otherwise))


# -- checks


@ERRORS.of_writer("checked", "a check fails")
class CheckAfterTheCall(FunctionWriter):
    """Arguments are tested when the call has been made."""

    def _check(self, check: Check, index: int) -> None:
        pass

    def _deliver(self, results: dict[str, ir.Value]) -> None:
        for index, check in enumerate(self._plan.checks):
            super()._check(check, index)
        super()._deliver(results)


@ERRORS.of_function((inputs, "breaks_promise"), "checked", "a check fails")
def range_of_a_check_off_by_one(right: Any) -> Any:
    """A check lets pass the number after the last one that is promised."""

    def breaks_promise(builder: Any, value: Any, given: Type, promise: Type) -> ir.Value:
        return right(builder, value, given, replace(promise, high=promise.high + 1))

    return breaks_promise


@ERRORS.of_function((values, "_representable"), "checked", "without an attempt")
def signed_range_taken_for_unsigned(_right: Any) -> Any:
    """A check compares a signed argument as if it had no sign."""
    return lambda kind: (0, (1 << kind.width) - 1)


@ERRORS.of_writer("checked", "the status where delta fails its check")
class StatusesCutTo32Bits(FunctionWriter):
    """Statuses of checks and edges lose the upper half."""

    def _fail(self, status: ir.Value) -> None:
        if isinstance(status, ir.Constant):
            status = ir.Constant(I64, status.constant & 0xFFFF_FFFF)
        super()._fail(status)


# -- the call


@ERRORS.of_function((writer, "call_assembly"), "frame", "r9, an operand")
def clobber_left_out(right: Any) -> Any:
    """A register that the other side changes is not among the clobbers."""

    def call_assembly(*arguments: Any, **options: Any) -> Any:
        made = right(*arguments, **options)
        assert "~{r10}," in made.constraints
        return replace(made, constraints=made.constraints.replace("~{r10},", ""))

    return call_assembly


@ERRORS.of_function((parking, "registers_left"), "few", "no pointer argument")
def parked_where_the_call_destroys(_right: Any) -> Any:
    """A pointer waits in a register that the other side changes."""
    return lambda plan: {"r8", "r9", "r10", "r11"}


@ERRORS.of_writer("few", "output entry")
class ParkedPointersChangePlaces(FunctionWriter):
    """After the call each of two pointers is looked for where the other waits."""

    def _collect_parked(self, value: ir.Value) -> None:
        super()._collect_parked(value)
        names = list(self._assembly.parked)
        places = [self._arguments[name] for name in reversed(names)]
        self._arguments |= dict(zip(names, places, strict=True))


def with_text(right: Any, old: str, new: str) -> Any:
    """Writes the assembly of the call with something replaced."""

    def text(*arguments: Any) -> str:
        made: str = right(*arguments)
        assert old in made
        return made.replace(old, new)

    return text


@ERRORS.of_function((constraints, "_text"), "few", "failed with carry")
def carry_edge_on_the_wrong_polarity(right: Any) -> Any:
    """A call that completed takes the way of one that nobody answered."""
    return with_text(right, "jc ", "jnc ")


@ERRORS.of_function((constraints, "_text"), "flag", "output unchanged")
def carry_flag_inverted(right: Any) -> Any:
    """The output has the opposite of the carry flag."""
    return with_text(right, "setc ", "setnc ")


@ERRORS.of_function((constraints, "_text"), "flag", "output unchanged")
def carry_flag_lost(right: Any) -> Any:
    """An instruction between the call and SETC changes the flag."""
    return with_text(right, "setc ", "test $0, $0\nsetc ")


@ERRORS.of_function((constraints, "_text"), "few", "a fault was raised")
def fault_edge_of_carry(right: Any) -> Any:
    """A fault goes on where calls go on that nobody answered."""

    def text(plan: Plan, target: Target, labels: dict[str, str], outputs: tuple[str, ...]) -> str:
        return str(right(plan, target, {**labels, "fault": labels["carry"]}, outputs))

    return text


@ERRORS.of_function((constraints, "_text"), "few", "a fault was raised")
def fault_falls_into_the_completed_path(right: Any) -> Any:
    """A fault goes on after the call as if it had completed."""

    def text(plan: Plan, target: Target, labels: dict[str, str], outputs: tuple[str, ...]) -> str:
        made = str(right(plan, target, {**labels, "fault": "773f"}, outputs))
        return made + "\n773:"

    return text


@ERRORS.of_function((constraints, "_text"), "few", "fixup table")
def fault_entry_of_the_next_instruction(right: Any) -> Any:
    """The entry of the fault table is about the instruction after the call."""
    return with_text(right, "long 771b", "long 771b + 4")


@ERRORS.of_function((constraints, "_text"), "few", "fixup table")
def no_fault_entry(right: Any) -> Any:
    """The fault table has nothing about the instruction."""

    def text(*arguments: Any) -> str:
        return re.sub(r"\.pushsection.*\.popsection\n", "", right(*arguments), flags=re.DOTALL)

    return text


@ERRORS.of_function((constraints, "_text"), "few", "2 rows")
def two_fault_entries(right: Any) -> Any:
    """The fault table has two entries about the instruction."""

    def text(*arguments: Any) -> str:
        entry = re.search(r"\.pushsection.*\.popsection\n", right(*arguments), flags=re.DOTALL)
        return right(*arguments).replace(entry[0], entry[0] * 2) if entry else ""

    return text


@ERRORS.of_function((constraints, "_text"), "few", "a fault was raised")
def fault_entry_of_another_type(right: Any) -> Any:
    """The kernel does not leave the number of the exception in RAX."""
    return with_text(right, ".long 2\n", ".long 1\n")


@ERRORS.of_writer("few", "nothing grants another attempt")
class CallMadeTwice(FunctionWriter):
    """The instruction is executed twice."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        twice = self._assembly.text.replace("jc", f".byte {_bytes(self._plan)}\njc")
        self._assembly = replace(self._assembly, text=twice)


def _bytes(plan: Plan) -> str:
    return ",".join(f"0x{byte:02x}" for byte in plan.instruction.code)


# -- attributes and flags of the module


@ERRORS.of_function((codegen, "function_attributes"), "clean", "rsi, which is to be scrubbed")
def scrub_of_used_registers_only(right: Any) -> Any:
    """What the call changes and nobody reads is not scrubbed."""
    whole, used = (f'"zero-call-used-regs"="{which}-gpr"' for which in ("all", "used"))

    def function_attributes(target: Target, *, scrub: bool = False) -> list[str]:
        return [used if one == whole else one for one in right(target, scrub=scrub)]

    return function_attributes


@ERRORS.of_function((codegen, "function_attributes"), "crowded", "below RSP")
def red_zone_in_a_kernel(right: Any) -> Any:
    """Values lie below RSP, where an interrupt overwrites them."""

    def function_attributes(*arguments: Any, **options: Any) -> list[str]:
        return [one for one in right(*arguments, **options) if one != "noredzone"]

    return function_attributes


@ERRORS.of_function((codegen, "uses_rbp"), "frame", "rbp", features=("+frame-pointer",))
def rbp_as_frame_pointer(_right: Any) -> Any:
    """Functions whose call changes RBP keep a frame pointer there."""
    return lambda plan: False


@ERRORS.of_function(
    (codegen, "emit_module"), "faults", "not aligned at the call of helper", target="linux-user"
)
def stack_aligned_as_in_a_kernel(right: Any) -> Any:
    """The stack is not aligned where another function is called."""

    def emit_module(plans: Any, target: Target, *arguments: Any, **options: Any) -> str:
        return str(right(plans, replace(target, stack_alignment=8), *arguments, **options))

    return emit_module
