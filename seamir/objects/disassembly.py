"""Disassembly of emitted functions, as text a person reviews in a golden file."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from iced_x86 import ConstantOffsets, Decoder, Formatter, FormatterSyntax, Instruction, OpKind

from seamir.objects.contents import FixupEntry, Function, Relocation

_LONGEST = 15  # bytes of an instruction
_PLACEHOLDER = 0x5EA31A5E  # stands for a symbol while the formatter prints a memory operand
_NEAR_BRANCHES = frozenset({OpKind.NEAR_BRANCH16, OpKind.NEAR_BRANCH32, OpKind.NEAR_BRANCH64})
_TEXT_COLUMNS = 40
_CODE_COLUMNS = 29  # ten code bytes in hex


@dataclass(frozen=True)
class DecodedInstruction:
    """One instruction; `offset` in bytes from the function's start, as are its relocations'.

    `line` is the source line, None where the object names none for this code. `distance` is how
    many of the last bytes say how far away the label is that a branch leads to.
    """

    offset: int
    code: bytes
    text: str
    line: int | None
    relocations: tuple[Relocation, ...]
    distance: int = 0

    @property
    def relocation(self) -> Relocation | None:
        """The first relocation; only an instruction with two symbolic operands has another."""
        return self.relocations[0] if self.relocations else None


def disassemble(
    function: Function, fixups: Iterable[FixupEntry] = ()
) -> tuple[DecodedInstruction, ...]:
    """Decode a function, with the source lines; Intel syntax, lower case, numbers in hex.

    A target inside the function is printed as the label of its instruction (see `labels`), or
    as `+0x2a` if no instruction starts there; an operand with a relocation as its symbol.
    Bytes that are no instruction are printed as `(bad)`.
    """
    starts = [entry.offset for entry in function.lines]
    numbers = [entry.line or None for entry in function.lines]
    return tuple(
        replace(instruction, line=([None, *numbers])[bisect_right(starts, instruction.offset)])
        for instruction in _disassemble(function, labels(function, fixups))
    )


def instruction_text(function: Function, offset: int) -> str:
    """The text of the instruction at an offset; targets inside the function are `+0x2a`."""
    decoder = Decoder(64, function.code[offset : offset + _LONGEST], ip=offset)
    instruction = decoder.decode()
    relocations = _within(function.relocations, instruction)
    offsets = decoder.get_constant_offsets(instruction)
    return _Printer(function, {}).text(instruction, offsets, relocations)


def listing(function: Function, fixups: Iterable[FixupEntry] = ()) -> str:
    """The text of a golden file: a header, which has the type id, then labels and instructions.

    An instruction is shown as its text, its code bytes in hex, its relocations and where its
    fault goes on. A change of code changes the lines of what changed and the header, which has
    the size, and no others: there are no offsets, and the distance to a label is `..`. The text
    ends with a newline and has no trailing spaces.
    """
    own = _own(function, fixups)
    names = labels(function, own)
    instructions = _disassemble(function, names)
    lines = [_header(function, len(instructions))]
    for instruction in instructions:
        lines += _label_line(instruction, names)
        lines.append(_instruction_line(instruction, own, names))
    starts = {instruction.offset for instruction in instructions}
    for entry in own:
        if entry.from_offset not in starts:
            lines.append(f"+{entry.from_offset:#x}: {_fixup(entry, names)}")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def labels(function: Function, fixups: Iterable[FixupEntry] = ()) -> dict[int, str]:
    """Names (.L1, .L2...) by offset, of the instructions that branches or fixups lead to."""
    instructions = decode(function.code)
    targets = {branch_target(one, function.relocations) for one in instructions}
    targets |= {entry.to_offset for entry in _own(function, fixups)}
    starts = [instruction.ip for instruction in instructions if instruction.ip in targets]
    return {offset: f".L{number}" for number, offset in enumerate(starts, 1)}


def decode(code: bytes) -> tuple[Instruction, ...]:
    """The instructions of a function's code, as if the function started at address 0.

    Bytes that are no instruction come as instructions of code INVALID.
    """
    return tuple(Decoder(64, code))


def branch_target(instruction: Instruction, relocations: Iterable[Relocation]) -> int | None:
    """Where a direct near branch or call leads, in bytes from the function's start.

    The offset may lie outside of the function. None for any other instruction, and where a
    relocation decides.
    """
    if instruction.op_count == 0 or instruction.op0_kind not in _NEAR_BRANCHES:
        return None
    if _within(relocations, instruction):
        return None
    target: int = instruction.near_branch_target
    return target - (1 << 64) if target >> 63 else target


def _own(function: Function, fixups: Iterable[FixupEntry]) -> list[FixupEntry]:
    own = [entry for entry in fixups if entry.function == function.name]
    return sorted(own, key=lambda entry: (entry.from_offset, entry.to_offset, entry.kind))


def _within(relocations: Iterable[Relocation], instruction: Instruction) -> tuple[Relocation, ...]:
    return tuple(one for one in relocations if instruction.ip <= one.offset < instruction.next_ip)


def _disassemble(function: Function, names: Mapping[int, str]) -> list[DecodedInstruction]:
    printer = _Printer(function, names)
    decoder = Decoder(64, function.code)
    instructions = []
    for instruction in decoder:
        relocations = _within(function.relocations, instruction)
        offsets = decoder.get_constant_offsets(instruction)
        text = printer.text(instruction, offsets, relocations)
        code = function.code[instruction.ip : instruction.next_ip]
        to_label = branch_target(instruction, relocations) in names
        distance = offsets.immediate_size if to_label else 0
        instructions.append(
            DecodedInstruction(instruction.ip, code, text, None, relocations, distance)
        )
    return instructions


class _Printer:
    """Prints instructions of one function, operand by operand where one has a symbol."""

    def __init__(self, function: Function, names: Mapping[int, str]) -> None:
        self._function = function
        self._names = names
        formatter = Formatter(FormatterSyntax.INTEL)
        formatter.hex_prefix, formatter.hex_suffix = "0x", ""
        formatter.uppercase_hex = False
        formatter.small_hex_numbers_in_decimal = False
        formatter.space_after_operand_separator = True
        formatter.rip_relative_addresses = True
        self._formatter = formatter

    def text(
        self,
        instruction: Instruction,
        offsets: ConstantOffsets,
        relocations: tuple[Relocation, ...],
    ) -> str:
        count = self._formatter.operand_count(instruction)
        operands = [
            self._operand(instruction, number, offsets, relocations) for number in range(count)
        ]
        mnemonic = self._formatter.format_mnemonic(instruction)
        return f"{mnemonic} {', '.join(operands)}".rstrip()

    def _operand(
        self,
        instruction: Instruction,
        number: int,
        offsets: ConstantOffsets,
        relocations: tuple[Relocation, ...],
    ) -> str:
        plain = self._formatter.format_operand(instruction, number)
        operand = self._formatter.get_instruction_operand(instruction, number)
        if operand is None or instruction.op_kind(operand) == OpKind.REGISTER:
            return plain
        kind = instruction.op_kind(operand)
        in_memory = kind == OpKind.MEMORY
        field = offsets.displacement_offset if in_memory else offsets.immediate_offset
        place = instruction.ip + field
        relocation = next((one for one in relocations if field and one.offset == place), None)
        if relocation and in_memory:
            return self._memory(instruction, number, relocation)
        if relocation:
            origin = instruction.next_ip if kind in _NEAR_BRANCHES else place
            return _symbol(relocation, origin)
        if kind in _NEAR_BRANCHES:
            return self._target(branch_target(instruction, ()) or 0)
        return plain

    def _memory(self, instruction: Instruction, number: int, relocation: Relocation) -> str:
        relative = instruction.is_ip_rel_memory_operand
        origin = instruction.next_ip if relative else relocation.offset
        symbolic = instruction.copy()
        symbolic.memory_displacement = _PLACEHOLDER + (instruction.next_ip if relative else 0)
        text = self._formatter.format_operand(symbolic, number)
        return text.replace(f"{_PLACEHOLDER:#x}", _symbol(relocation, origin))

    def _target(self, target: int) -> str:
        if target in self._names:
            return self._names[target]
        if 0 <= target < len(self._function.code):
            return f"+{target:#x}"
        return f"{self._function.section}{self._function.offset + target:+#x}"


def _symbol(relocation: Relocation, origin: int) -> str:
    """What the operand refers to; a relative one counts from origin, not from its own place."""
    distance = relocation.addend + origin - relocation.offset
    suffix = "@GOTPCREL" if "GOTPCREL" in relocation.kind else ""
    return f"{relocation.symbol}{suffix}{_signed(distance)}"


def _signed(distance: int) -> str:
    return f"{distance:+#x}" if distance else ""


def _header(function: Function, instructions: int) -> str:
    size = len(function.code)
    type_id = "" if function.type_id is None else f", type id {function.type_id:#010x}"
    head = f"{function.name}: {function.section}, {size} bytes, {instructions} instructions"
    return head + type_id


def _label_line(instruction: DecodedInstruction, names: Mapping[int, str]) -> list[str]:
    return [f"{names[instruction.offset]}:"] if instruction.offset in names else []


def _instruction_line(
    instruction: DecodedInstruction, own: Iterable[FixupEntry], names: Mapping[int, str]
) -> str:
    notes = [f"{one.kind} {one.symbol}{_signed(one.addend)}" for one in instruction.relocations]
    notes += [_fixup(entry, names) for entry in own if entry.from_offset == instruction.offset]
    digits = [f"{byte:02x}" for byte in instruction.code]
    digits[len(digits) - instruction.distance :] = [".."] * instruction.distance
    code = " ".join(digits)
    return f"  {instruction.text:<{_TEXT_COLUMNS}}  {code:<{_CODE_COLUMNS}}  {', '.join(notes)}"


def _fixup(entry: FixupEntry, names: Mapping[int, str]) -> str:
    target = names.get(entry.to_offset, f"+{entry.to_offset:#x}")
    return f"fixup -> {target} type {entry.kind}"
