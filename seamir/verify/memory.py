"""Memory in a proof: the function's frame, what its pointer arguments lead to, and constants.

Every address has to be known as one of these plus a number of bytes; a proof ends at any other.
The regions are taken to be apart from each other (see Proof.assumptions for what that means).
Cells of the frame keep the size they were written with, and are taken apart only where a read or a
write needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from seamir.emulate.image import Image
from seamir.verify.state import LATER, State
from seamir.verify.terms import TRUE, Term, Word, both, concat, extract, signed, split_sum, symbol

SLOT = 8  # bytes of a stack slot
AT_ENTRY = "0"  # the first epoch
_RED_ZONE = 128  # bytes below RSP that some targets let a function use


class AccessError(Exception):
    """The code reaches for memory that no function of this prototype may touch."""


@dataclass(frozen=True, slots=True)
class Region:
    """What a pointer argument leads to: `size` bytes.

    `readable` says on what condition each of its bytes may be read; what is not there may not.
    With `writable` it may be written, where `writable` holds: a pointer may be NULL.
    """

    name: str
    size: int
    readable: Mapping[int, Word]
    writable: Word | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all paths of a function share.

    `frame` is the symbol of RSP at entry, `alignment` what RSP is a multiple of once the return
    address is off the stack; `caller` are the bytes above that address which belong to the caller
    (stack arguments), by offset from `frame`, and `shadow` those that the function may use.
    `losses` numbers the times at which something below RSP was lost.
    """

    frame: Term
    alignment: int
    regions: Mapping[Term, Region]
    caller: Mapping[int, Word]
    shadow: range
    red_zone: bool
    image: Image
    losses: Iterator[int] = field(default_factory=count)


@dataclass(frozen=True, slots=True)
class Write:
    """A write to what an argument points to, `offset` and `size` in bytes."""

    region: str
    offset: int
    size: int
    value: Word


def content(region: str, epoch: str, offset: int, size: int) -> Word:
    """What the caller has in bytes of what an argument points to, as of an epoch."""
    value: Word = 0
    for index in range(size):
        slot = (offset + index) // SLOT * SLOT
        word = symbol(f"{region}[{slot}].{epoch}")
        byte = extract(word, 8 * (offset + index - slot), 8)
        value = concat(byte, 8, value, 8 * index) if index else byte
    return value


@dataclass
class RegionMemory:
    """The memory of one path.

    `cells` are the bytes of the frame by offset, each with its size; `writes` are those to the
    caller's memory, in order; `epoch` names the time since which nobody else changed that memory,
    `frame_epoch` the one since which no byte of the frame was lost.
    `demands` are conditions that the accesses so far need, for whoever runs the code to prove;
    `order_matters` are pairs of arguments whose overlap would change what is read.
    """

    around: Surroundings
    cells: dict[int, tuple[int, Word]] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    epoch: str = AT_ENTRY
    frame_epoch: str = AT_ENTRY
    demands: list[tuple[Word, str]] = field(default_factory=list)
    order_matters: set[tuple[str, str]] = field(default_factory=set)

    def copy(self) -> RegionMemory:
        """The same content, for another path."""
        return RegionMemory(
            self.around,
            dict(self.cells),
            list(self.writes),
            self.epoch,
            self.frame_epoch,
            list(self.demands),
            set(self.order_matters),
        )

    def read(self, state: State, address: Word, size: int) -> Word:
        """The bytes from an address on; AccessError if they are nobody's."""
        base, offset = split_sum(address)
        if base is None:
            return self._read_constant(offset, size)
        offset = signed(offset, 64)
        if base is self.around.frame:
            return self._read_frame(state, offset, size)
        return self._read_region(self._region(base), base, offset, size)

    def write(self, state: State, address: Word, size: int, value: Word) -> None:
        """Puts a value there; AccessError if the bytes are not the function's to write."""
        base, offset = split_sum(address)
        if base is None:
            raise AccessError(f"writes {size} bytes at the constant address {offset:#x}")
        offset = signed(offset, 64)
        if base is self.around.frame:
            self._check_frame(state, offset, size, "writes")
            if offset + size > 0 and not _within(offset, size, self.around.shadow):
                raise AccessError(f"writes {size} bytes of the caller's stack at rsp+{offset:#x}")
            self._put(offset, size, value)
            return
        region = self._region(base)
        if region.writable is None:
            raise AccessError(f"writes to what {region.name} points to")
        if not 0 <= offset <= offset + size <= region.size:
            raise AccessError(f"writes {size} bytes at {_place(region, offset)}, past its end")
        self._demand(region.writable, f"writes through {region.name}, which may be NULL")
        self.writes.append(Write(region.name, offset, size, value))

    def require_aligned(self, address: Word, size: int) -> None:
        """AccessError unless the address is known to be a multiple of `size` bytes."""
        base, offset = split_sum(address)
        known = base is None or (base is self.around.frame and size <= self.around.alignment)
        # RSP is aligned before the return address was pushed.
        if not known or (offset - (0 if base is None else SLOT)) % size:
            raise AccessError(
                f"needs an address that is a multiple of {size}, which is not certain"
            )

    def forget_below_stack(self, state: State) -> None:
        """Forgets what lies below RSP, and below the red zone where there is one."""
        base, lowest = split_sum(state.registers["rsp"])
        if base is self.around.frame:
            self.forget_below(signed(lowest, 64) - (_RED_ZONE if self.around.red_zone else 0))

    def forget_below(self, offset: int) -> None:
        """Interrupts and calls may overwrite the frame below that many bytes from its start."""
        for start in [start for start in self.cells if start < offset]:
            del self.cells[start]
        self.frame_epoch = f"{LATER}lost.{next(self.around.losses)}"

    def word(self, region: str, offset: int, size: int) -> Word | None:
        """What the writes leave in bytes of a region; None if they do not reach all of them."""
        value: Word = 0
        for index in range(size):
            byte = self._written(region, offset + index)
            if byte is None:
                return None
            value = concat(byte, 8, value, 8 * index) if index else byte
        return value

    # -- the frame

    def _read_frame(self, state: State, offset: int, size: int) -> Word:
        self._check_frame(state, offset, size, "reads")
        cell = self.cells.get(offset)
        if cell is not None and cell[0] == size:
            return cell[1]
        value: Word = 0
        for index in range(size):
            byte = self._frame_byte(offset + index)
            value = concat(byte, 8, value, 8 * index) if index else byte
        return value

    def _frame_byte(self, offset: int) -> Word:
        for start in range(offset, offset - 16, -1):
            size, value = self.cells.get(start, (0, 0))
            if start + size > offset:
                return extract(value, 8 * (offset - start), 8)
        slot = offset - offset % SLOT
        if slot in self.around.caller:
            return extract(self.around.caller[slot], 8 * (offset - slot), 8)
        if offset >= 0 and offset not in self.around.shadow:
            raise AccessError(f"reads the caller's stack at rsp+{offset:#x}, past the arguments")
        # Not written yet, or lost: whatever is there, the same at each read until it is changed.
        return extract(symbol(f"stack[{slot}].{self.frame_epoch}"), 8 * (offset - slot), 8)

    def _check_frame(self, state: State, offset: int, size: int, verb: str) -> None:
        base, lowest = split_sum(state.registers["rsp"])
        if base is not self.around.frame:
            raise AccessError(f"{verb} the stack while RSP is not known")
        lowest = signed(lowest, 64) - (_RED_ZONE if self.around.red_zone else 0)
        if offset < lowest:
            raise AccessError(f"{verb} {size} bytes below RSP, which an interrupt may overwrite")

    def _put(self, offset: int, size: int, value: Word) -> None:
        """Writes a cell; what remains of older ones becomes bytes."""
        for start in range(offset - 15, offset + size):
            if start not in self.cells:
                continue
            old_size, old = self.cells[start]
            if start + old_size <= offset or (start == offset and old_size == size):
                continue
            del self.cells[start]
            for index in range(old_size):
                if not offset <= start + index < offset + size:
                    self.cells[start + index] = (1, extract(old, 8 * index, 8))
        self.cells[offset] = (size, value)

    # -- constants

    def _read_constant(self, address: int, size: int) -> Word:
        image = self.around.image
        for start, end in image.constant:
            if start <= address <= address + size <= end:
                return int.from_bytes(image.bytes_at(address, size), "little")
        raise AccessError(f"reads {size} bytes at {address:#x}, where the object has no constant")

    # -- what arguments point to

    def _region(self, base: Term) -> Region:
        region = self.around.regions.get(base)
        if region is None:
            raise AccessError("uses an address that is no pointer argument plus a constant")
        return region

    def _read_region(self, region: Region, base: Term, offset: int, size: int) -> Word:
        value: Word = 0
        there: Word = TRUE
        for index in range(size):
            at = offset + index
            byte = self._written(region.name, at)
            if byte is None:
                if at not in region.readable:
                    raise AccessError(f"reads {size} bytes at {_place(region, offset)}")
                there = both(there, region.readable[at])
                byte = content(region.name, self.epoch, at, 1)
            value = concat(byte, 8, value, 8 * index) if index else byte
        self._demand(there, f"reads {_place(region, offset)}, which need not be there")
        self.order_matters |= {
            (write.region, region.name) for write in self.writes if write.region != region.name
        }
        return value

    def _written(self, region: str, offset: int) -> Word | None:
        for write in reversed(self.writes):
            if write.region == region and write.offset <= offset < write.offset + write.size:
                return extract(write.value, 8 * (offset - write.offset), 8)
        return None

    def _demand(self, condition: Word, text: str) -> None:
        if condition is not TRUE and condition != TRUE:
            self.demands.append((condition, text))


def _within(offset: int, size: int, place: range) -> bool:
    return place.start <= offset <= offset + size <= place.stop


def _place(region: Region, offset: int) -> str:
    return f"[{region.name} {'-' if offset < 0 else '+'} {abs(offset)}]"
