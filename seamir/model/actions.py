"""Checks the edges of a call: what is done when it does not complete."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from seamir.model.declarations import Declarations
from seamir.model.entities import (
    NOWHERE,
    Action,
    Bits,
    CallSymbol,
    Edges,
    Refusal,
    ReturnValue,
    Trap,
)
from seamir.model.expressions import Constant, fold
from seamir.model.instructions import FAULT_VECTORS, Instruction
from seamir.model.names import check_c_name
from seamir.model.places import check_bits
from seamir.model.registers import ONLY_IF_ALLOWED
from seamir.model.scope import Scope
from seamir.model.statuses import StatusFamily
from seamir.model.values import ValueChecker
from seamir.source import Span
from seamir.syntax import ast

NOTHING_TO_RETURN = "use `trap`, or `call` of a function that does not return"


@dataclass(frozen=True)
class Permissions:
    """What the person who compiles allows beyond the language: symbols to call, machine code."""

    calls: frozenset[str] = frozenset()
    instructions: frozenset[bytes] = frozenset()


@dataclass(frozen=True)
class Caller:
    """What the edges belong to: the instruction, where the status is, and whose names it sees.

    `is_conduit` says whether it may define how a refusal shows, or only what to do about it.
    """

    instruction: Instruction
    status: Bits | None
    families: tuple[StatusFamily, ...]
    scope: Scope
    is_conduit: bool


class ActionChecker:
    """Checks what happens on an edge."""

    def __init__(self, declarations: Declarations, permissions: Permissions) -> None:
        self._declarations = declarations
        self._sink = declarations.sink
        self._permissions = permissions
        self._lacking: set[str] = set()  # functions that need a permission, reported once each

    def edges(self, items: Iterable[ast.Outcome], inherited: Edges, caller: Caller) -> Edges:
        """The inherited edges with those of `items` in their place."""
        carry, fault, vectors = inherited.carry, inherited.fault, dict(inherited.vectors)
        refused = inherited.refused
        seen: dict[tuple[str, str], Span] = {}
        for item in items:
            key = (item.edge, item.vector.text if item.vector else "")
            if key in seen:
                notes = [("the first is here", seen[key])]
                self._sink.report("E0501", "this outcome is handled twice", item.span, notes=notes)
            seen[key] = item.span
            if item.edge == "refused":
                refused = self._refused(item, refused, caller) or refused
                continue
            if not self._is_possible(item, caller.instruction):
                continue
            action = self.action(item, caller)
            if item.edge == "carry":
                carry = action or carry
            elif item.vector is None:
                fault = action or fault
            elif item.vector.text not in FAULT_VECTORS:
                known = ", ".join(FAULT_VECTORS)
                message = f"there is no exception {item.vector.text}"
                help = f"exceptions are {known}"
                self._sink.report("E0502", message, item.vector.span, help=help)
            elif action is not None:
                vectors[FAULT_VECTORS[item.vector.text]] = action
        if caller.is_conduit and refused is not None:
            self._check_refusal(refused, caller.status, is_own=("refused", "") in seen)
        return Edges(carry, fault, tuple(sorted(vectors.items())), refused)

    def _check_refusal(self, refused: Refusal, status: Bits | None, *, is_own: bool) -> None:
        """Reports a refusal, the conduit's own or an inherited one, that shows in the status."""
        if status is None or status.register != refused.place.register:
            return
        place, other = refused.place.span, status.span
        message = f"{status.register} has the status, so it cannot tell of a refusal"
        notes = [("the status is here", other)]
        if not is_own:
            message = f"{status.register} tells of a refusal, so it cannot have the status"
            place, notes = other, [("the refusal shows here", place)]
        help = "what the other side returned is a status: give it a code"
        self._sink.report("E0511", message, place, notes=notes, help=help)

    def _is_possible(self, item: ast.Outcome, instruction: Instruction) -> bool:
        """Reports an edge that the instruction does not have."""
        if item.edge == "carry" and not instruction.sets_carry:
            message = f"{instruction.name} does not report through the carry flag"
            self._sink.report("E0502", message, item.span)
            return False
        if item.edge == "fault" and not instruction.may_fault:
            self._sink.report("E0502", f"{instruction.name} does not fault", item.span)
            return False
        return True

    def _refused(
        self, item: ast.Outcome, inherited: Refusal | None, caller: Caller
    ) -> Refusal | None:
        """The checked refused edge: how it shows is the conduit's to say, what then anybody's."""
        said = item.refusal
        if said is None and inherited is None:
            message = "nothing says how to tell that a call was refused"
            help = "a conduit says it: `on refused rax != 0 trap;`"
            self._sink.report("E0511", message, item.span, help=help)
            return None
        if said is None:
            assert inherited is not None
            action = self.action(item, caller, inherited.families)
            return None if action is None else replace(inherited, action=action)
        if not caller.is_conduit:
            message = "how a refused call shows is the conduit's to say"
            help = "write `on refused` and what to do"
            self._sink.report("E0511", message, said.span, help=help)
            return None
        # What is wrong was reported, and counts as said: no errors follow at leaves and wrappers.
        stand_in = Refusal(Bits(NOWHERE, 0, 63, said.place.span), 0, (), Trap(item.span))
        found = [self._declarations.family(name, caller.scope) for name in said.families]
        families = tuple(family for family in found if family is not None)
        place = check_bits(said.place, self._declarations)
        if place is None or len(families) != len(found):
            return stand_in
        if place.register == ONLY_IF_ALLOWED:
            message = "rbp is the frame pointer of many kernels and debuggers"
            help = "a conduit may clobber it; only a leaf that allows it may use it"
            self._sink.report("E0409", message, place.span, help=help)
            return stand_in
        values = ValueChecker(self._declarations, caller.scope, families=families)
        value = values.check(said.value)
        action = self.action(item, caller, families)
        if value is None or action is None or not values.check_fits(said.value, value, place):
            return stand_in
        folded = fold(value)
        assert isinstance(folded, Constant)  # there is no parameter to name
        return Refusal(place, folded.value, families, action)

    def action(
        self, item: ast.Outcome, caller: Caller, further: tuple[StatusFamily, ...] = ()
    ) -> Action | None:
        """The checked action of an edge; `further` families give names to statuses too."""
        action = item.action
        if isinstance(action, ast.TrapAction):
            return Trap(action.span)
        families = (*caller.families, *(f for f in further if f not in caller.families))
        values = ValueChecker(self._declarations, caller.scope, families=families, edge=item.edge)
        if action.value is not None and caller.status is None:
            message = "the conduit has no status, so there is nothing to return"
            self._sink.report("E0417", message, action.value.span, help=NOTHING_TO_RETURN)
            return None
        if isinstance(action, ast.ReturnAction):
            value = values.check(action.value)
            return None if value is None else ReturnValue(value, action.span)
        symbol = action.symbol
        if not check_c_name(symbol, "a function", self._sink, ours=False):
            return None
        if symbol.text in self._lacking:
            return None
        if symbol.text not in self._permissions.calls:
            self._lacking.add(symbol.text)
            message = f"calling `{symbol.text}` needs permission"
            help = f"if you trust this file, compile with --allow-call {symbol.text}"
            self._sink.report("E0702", message, symbol.span, help=help)
            return None
        if action.value is None:
            return CallSymbol(symbol.text, None, action.span)
        value = values.check(action.value)
        return None if value is None else CallSymbol(symbol.text, value, action.span)
