"""Writes the start of a function: arguments become 64-bit inputs, and some are checked."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from seamir.ir.leaf import Bound, Check, Input
from seamir.llvm.shapes import I64, integer
from seamir.llvm.values import breaks_promise
from seamir.llvm.writer import Writer


def in_reading_order(inputs: Sequence[Input]) -> list[Input]:
    """Counts, then the elements that they bound, then the rest.

    LLVM moves what is read before a branch down past it, and loses its line on the way.
    """
    counts = {item.bound.count for item in inputs if item.bound is not None}
    return sorted(inputs, key=lambda item: (item.name not in counts, item.bound is None))


class InputWriter(Writer):
    """Reads inputs, and tests them where the plan says so."""

    def _input(self, item: Input) -> ir.Value:
        """The value of an input; code for it in the present block, where LLVM keeps its line."""
        self._at(item.span)
        if item.bound is not None:
            return self._bounded(item, item.bound)
        return self._extended(item)

    def _bounded(self, item: Input, bound: Bound) -> ir.Value:
        """An element that is read only if there are so many."""
        count = ir.Constant(I64, bound.index)
        is_there = self._builder.icmp_unsigned(">", self._values[bound.count], count)
        before, there, after = self._builder.block, self._block("there"), self._block("read")
        self._builder.cbranch(is_there, there, after)
        self._builder.position_at_end(there)
        value = self._extended(item)
        self._builder.branch(after)
        self._builder.position_at_end(after)
        result = self._builder.phi(I64)
        result.add_incoming(value, there)
        result.add_incoming(ir.Constant(I64, bound.otherwise), before)
        return result

    def _extended(self, item: Input) -> ir.Value:
        value = self._read(item)
        if item.type.extension == "none":
            return value if item.type.c_base != "ptr" else self._builder.ptrtoint(value, I64)
        extend = self._builder.sext if item.type.signed else self._builder.zext
        return extend(value, I64)

    def _read(self, item: Input) -> ir.Value:
        """An input as it is passed; one in memory is read once, so that what is checked is used."""
        if item.offset is None:
            return self._arguments[item.argument]
        if item.name not in self._memory:
            place = self._address(self._arguments[item.argument], item.offset)
            self._memory[item.name] = self._builder.load(place, typ=integer(item.type))
        return self._memory[item.name]

    # -- checks

    def _check(self, check: Check, index: int) -> None:
        item = next(item for item in self._plan.inputs if item.name == check.input)
        value = self._input(item)
        self._at(check.span)
        bad = breaks_promise(self._builder, value, item.type, check.promise)
        failed, passed = self._block(f"check{index}.failed"), self._block(f"check{index}.passed")
        self._branch(bad, failed, passed)
        self._builder.position_at_end(failed)
        if check.status is None:
            self._trap()
        else:
            self._fail(ir.Constant(I64, check.status))
        self._builder.position_at_end(passed)
