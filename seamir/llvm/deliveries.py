"""Writes the end of a function: outputs are stored, and the status is returned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from llvmlite import ir

from seamir.ir.leaf import Delivery, Returns
from seamir.llvm.shapes import I64, POINTER, integer
from seamir.llvm.values import holds, take_bits
from seamir.llvm.writer import Writer


class DeliveryWriter(Writer):
    """Delivers outputs and returns."""

    # -- statuses

    def _status(self, results: dict[str, ir.Value]) -> ir.Value | None:
        place = self._plan.status
        if place is None:
            return None
        return take_bits(self._builder, results[place.register], place)

    # -- deliveries

    def _deliver(self, results: dict[str, ir.Value]) -> None:
        """Delivers the outputs of a call that completed, and returns."""
        if self._plan.returns is Returns.NOTHING:
            self._at(self._plan.span)
            self._trap()
            return
        status = self._status(results)
        in_register = None
        for delivery in self._plan.deliveries:
            if delivery.argument is None:
                in_register = self._output(delivery, status, results)
        in_memory = [d for d in self._plan.deliveries if d.argument is not None]
        self._store_all(in_memory, lambda delivery: self._output(delivery, status, results))
        self._at(self._plan.span)
        self._return(status, in_register)

    def _output(
        self, delivery: Delivery, status: ir.Value | None, results: dict[str, ir.Value]
    ) -> ir.Value:
        """The value of an output, 0 where its condition does not hold."""
        self._at(delivery.span)
        register, signed = delivery.place.register, delivery.type.signed
        value = take_bits(self._builder, results[register], delivery.place, signed=signed)
        if delivery.test is None:
            return value
        condition = holds(self._builder, status, delivery.test)
        return self._builder.select(condition, value, ir.Constant(I64, 0))

    def _deliver_incomplete(self) -> None:
        """Stores 0 where an output is not to be kept."""
        cleared = [d for d in self._plan.deliveries if not d.keep and d.argument is not None]
        self._store_all(cleared, lambda _: ir.Constant(I64, 0))

    def _store_all(
        self, deliveries: Sequence[Delivery], value_of: Callable[[Delivery], ir.Value]
    ) -> None:
        """Stores values in order; one test of a pointer that may be NULL serves all its stores."""
        for name, group in groupby(deliveries, key=lambda delivery: delivery.argument):
            members = tuple(group)
            assert name is not None
            after: ir.Block | None = None
            if members[0].optional:
                self._at(members[0].span)
                store, after = self._block(f"store.{name}"), self._block("stored")
                null = ir.Constant(POINTER, None)
                is_null = self._builder.icmp_unsigned("==", self._arguments[name], null)
                self._builder.cbranch(is_null, after, store)
                self._builder.position_at_end(store)
            for delivery in members:
                self._store(delivery, self._arguments[name], value_of(delivery))
            if after is not None:
                self._builder.branch(after)
                self._builder.position_at_end(after)

    def _store(self, delivery: Delivery, pointer: ir.Value, value: ir.Value) -> None:
        self._at(delivery.span)
        width = integer(delivery.type)
        if isinstance(value, ir.Constant):
            narrow: ir.Value = ir.Constant(width, 0)
        else:
            narrow = value if width is I64 else self._builder.trunc(value, width)
        self._builder.store(narrow, self._address(pointer, delivery.offset))

    def _return(self, status: ir.Value | None, value: ir.Value | None) -> None:
        if self._plan.returns is Returns.NO_STATUS:
            self._builder.ret_void()
        elif self._plan.returns is Returns.VALUE:
            self._builder.ret(self._as_returned(value, self._function.return_value.type))
        elif self._plan.returns is Returns.STATUS_AND_VALUE:
            kind = self._function.return_value.type
            pair = self._builder.insert_value(ir.Constant(kind, ir.Undefined), status, 0)
            second = ir.Constant(I64, 0) if value is None else value
            second = self._as_returned(second, kind.elements[1])
            self._builder.ret(self._builder.insert_value(pair, second, 1))
        else:
            self._builder.ret(status)

    def _as_returned(self, value: ir.Value, kind: ir.Type) -> ir.Value:
        if kind == I64:
            return value
        if kind == POINTER:
            return self._builder.inttoptr(value, POINTER)
        return self._builder.trunc(value, kind)
