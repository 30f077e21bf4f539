"""Checks wrappers: a leaf as one user wants it.

Takes a checked leaf and, if there is one, the wrapper item; returns a Wrapper with the leaf's
clauses and the wrapper's changes applied. Clauses of the leaf come before those of the wrapper.
"""

from __future__ import annotations

import re
from dataclasses import replace

from seamir.model.actions import Caller
from seamir.model.clauses import ClauseChecker, report_repeats
from seamir.model.conduits import ConduitChecker
from seamir.model.declarations import Declarations
from seamir.model.deliveries import check_delivery, share_members
from seamir.model.entities import (
    NOWHERE,
    Again,
    Array,
    Edges,
    Leaf,
    Operand,
    Output,
    Parameter,
    Trap,
    Wrapper,
)
from seamir.model.expressions import parameters_of
from seamir.model.leaves import CheckedLeaf, LeafChecker
from seamir.model.names import check_c_name
from seamir.model.order import names_in
from seamir.model.outputs import type_words
from seamir.model.places import report_overlap
from seamir.model.registers import CARRY_FLAG, NEVER_AN_OPERAND, REGISTERS, slice_mask
from seamir.model.scope import Scope, suggest
from seamir.model.shapes import report_two_defaults, report_uncounted
from seamir.model.types import BUILTIN_TYPES, UNKNOWN_TYPE, Layout, Type
from seamir.source import Span
from seamir.syntax import ast


def default_symbol(leaf: str, version: int) -> str:
    """The symbol of a leaf without a wrapper: tdh_mem_sept_add_v1 for TDH.MEM.SEPT.ADD, 1."""
    symbol = re.sub(r"[^a-z0-9_]", "_", leaf.lower())
    return symbol if version == 0 else f"{symbol}_v{version}"


class WrapperChecker:
    """Checks wrappers one at a time."""

    def __init__(
        self, declarations: Declarations, conduits: ConduitChecker, leaves: LeafChecker
    ) -> None:
        self._declarations = declarations
        self._sink = declarations.sink
        self._conduits = conduits
        self._leaves = leaves

    def check(
        self, checked: CheckedLeaf, item: ast.WrapperItem | None, scope: Scope | None
    ) -> Wrapper:
        """The wrapper of an item, or the default one of a leaf."""
        leaf, leaf_clauses = checked.leaf, checked.item.clauses
        clauses = item.clauses if item is not None else ()
        report_repeats(clauses, self._sink)
        own_scope = scope or checked.scope
        typed = self._parameters(checked, item, own_scope)
        operands = self._operands(checked, clauses, typed, own_scope)
        report_two_defaults(operands, self._sink)
        parameters = self._used(checked, typed, operands, item)
        names = {p.name for p in parameters}
        returned = tuple(replace(output, in_out=output.group in names) for output in leaf.outputs)
        inner = ClauseChecker(
            self._declarations,
            leaf.conduit,
            self._leaves.value_checker(parameters, checked.scope, leaf.conduit),
            checked.scope,
        )
        outer = ClauseChecker(
            self._declarations,
            leaf.conduit,
            self._leaves.value_checker(parameters, own_scope, leaf.conduit),
            own_scope,
        )
        by_name = {p.name: p for p in parameters}
        # A check of the leaf is pointless where the wrapper fixed the parameter.
        fixed = {p.name for p in leaf.parameters} - by_name.keys()
        leaf_checks = [
            clause
            for clause in leaf_clauses
            if not (isinstance(clause, ast.Check) and clause.parameter.text in fixed)
        ]
        # A dropped output comes back in its register like any other, so it can be carried.
        again = inner.again(leaf_clauses, operands, returned)
        again += outer.again(clauses, operands, returned)
        outer.check_nesting(again)
        dropped = outer.drop(clauses, returned)
        outputs = tuple(output for output in returned if output.group not in dropped)
        delivery = outer.delivery(clauses)
        if delivery is None and (outputs or not dropped):
            delivery = inner.delivery(leaf_clauses)
        keep = inner.keep(leaf_clauses, returned) - dropped | outer.keep(clauses, outputs)
        check_delivery(delivery, outputs, keep, self._sink)
        if delivery is not None and delivery.layout is not None:
            outputs, keep = share_members(outputs, keep)
        checks = inner.checks(leaf_checks, by_name) + outer.checks(clauses, by_name)
        lacking = None if item is None else item.name.span
        report_uncounted(parameters, {check.parameter for check in checks}, lacking, self._sink)
        noreturn = _flag(leaf_clauses, "noreturn") or _flag(clauses, "noreturn")
        if noreturn is not None:
            self._check_noreturn(noreturn, checked, outputs, again, clauses)
        symbol = item.name.text if item else default_symbol(leaf.name, leaf.version)
        name = item.name if item else ast.Name(symbol, checked.item.name.span)
        check_c_name(name, "a function", self._sink)
        return Wrapper(
            symbol=symbol,
            leaf=leaf,
            parameters=parameters,
            outputs=outputs,
            operands=operands,
            edges=self._edges(checked, clauses, own_scope),
            again=again,
            checks=checks,
            delivery=delivery,
            keep=keep,
            scrub=leaf.scrub or any(_flag(said, "scrub") for said in (leaf_clauses, clauses)),
            noinstr=(_flag(leaf_clauses, "noinstr") or _flag(clauses, "noinstr")) is not None,
            noreturn=noreturn is not None,
            notes=_notes(leaf_clauses) + _notes(clauses),
            deprecated=_deprecated(clauses) or _deprecated(leaf_clauses),
            doc=item.doc if item and item.doc else checked.item.doc,
            span=name.span,
        )

    # -- parameters

    def _parameters(
        self, checked: CheckedLeaf, item: ast.WrapperItem | None, scope: Scope
    ) -> tuple[Parameter, ...]:
        """The leaf's parameters with the types that the wrapper gives them."""
        if item is None or item.parameters is None:
            return checked.leaf.parameters
        changed = {p.name: p for p in checked.leaf.parameters}
        order = list(changed)
        last = -1
        for entry in item.parameters:
            original = changed.get(entry.name.text)
            if original is None:
                message = f"{checked.leaf.name} has no parameter `{entry.name.text}`"
                hint = suggest(entry.name.text, self._sink, changed)
                notes = [("the leaf is here", checked.leaf.span)]
                self._sink.report("E0202", message, entry.name.span, notes=notes, help=hint)
                continue
            if order.index(original.name) <= last:
                message = "parameters keep the order of the leaf, each once"
                self._sink.report("E0413", message, entry.name.span)
            last = order.index(original.name)
            kind, shape = self._leaves.shapes.written_type(entry, scope)
            if kind is None or not self._check_shape(entry, shape, original):
                continue
            if original.shape is None and not self._check_type(entry, kind, original):
                continue
            if isinstance(original.shape, Array) and not self._check_elements(
                entry, kind, original
            ):
                continue
            returned = next((o for o in checked.leaf.outputs if o.name == original.name), None)
            if returned is not None and not self._check_returned(entry, kind, returned):
                continue
            changed[original.name] = Parameter(
                original.name,
                kind,
                original.promise,
                entry.doc or original.doc,
                entry.name.span,
                original.shape,
            )
        return tuple(changed.values())

    def _check_shape(
        self, entry: ast.Parameter, shape: Array | Layout | None, original: Parameter
    ) -> bool:
        """Whether a parameter is the array or layout that it is in the leaf."""
        if shape == original.shape:
            return True
        words = type_words(original.promise, original.shape)
        message = f"{entry.name.text} is {words} in the leaf, and stays that"
        notes = [("the leaf says so here", original.span)]
        place = entry.type if entry.array is None else entry.array
        self._sink.report("E0309", message, place.span, notes=notes)
        return False

    def _check_elements(self, entry: ast.Parameter, kind: Type, original: Parameter) -> bool:
        """Whether the elements of an array are as wide in memory as the leaf has them."""
        if kind.width == original.type.width and kind.signed == original.type.signed:
            return self._check_type(entry, kind, original)
        message = f"{kind.name} is another size or sign than {original.type.name} in memory"
        notes = [("the leaf says so here", original.span)]
        self._sink.report("E0309", message, entry.type.span, notes=notes)
        return False

    def _check_type(self, entry: ast.Parameter, kind: Type, original: Parameter) -> bool:
        promise = original.promise
        if promise == UNKNOWN_TYPE:
            return True
        related = kind.base is None or promise.derives_from(kind) or kind.derives_from(promise)
        if not related:
            message = f"{entry.name.text} is {promise.name}, and {kind.name} is something else"
            notes = [("the leaf says so here", original.span)]
            help = "use a builtin type, or one made from the leaf's type"
            self._sink.report("E0309", message, entry.type.span, notes=notes, help=help)
            return False
        if kind == promise:
            return True
        numbers = (promise.low, promise.high, *promise.allowed_numbers)
        root = BUILTIN_TYPES[kind.c_base]
        if min(numbers) < root.low or max(numbers) > root.high:
            message = f"{kind.name} cannot hold every {promise.name}"
            notes = [("the leaf says so here", original.span)]
            self._sink.report("E0304", message, entry.type.span, notes=notes)
            return False
        return True

    def _check_returned(self, entry: ast.Parameter, kind: Type, output: Output) -> bool:
        """Whether a parameter that comes back too may have that type."""
        notes = [("it comes back here", output.span)]
        if kind.signed != output.type.signed:
            message = f"{output.name} comes back as {output.type.name}, whose sign differs"
            self._sink.report("E0309", message, entry.type.span, notes=notes)
            return False
        narrow = output.place.width < 64 and output.place.width > kind.width
        if narrow or (kind.c_base == "bool" and output.place.width != 1):
            message = f"{kind.name} cannot take back {output.place}"
            self._sink.report("E0310", message, entry.type.span, notes=notes)
            return False
        return True

    def _used(
        self,
        checked: CheckedLeaf,
        parameters: tuple[Parameter, ...],
        operands: tuple[Operand, ...],
        item: ast.WrapperItem | None,
    ) -> tuple[Parameter, ...]:
        """Parameters that reach a register; one that the wrapper fixed away is dropped."""
        resumed = [c for c in checked.item.clauses if isinstance(c, ast.Resume)]
        if item is not None:
            resumed += [c for c in item.clauses if isinstance(c, ast.Resume)]
        reached = {n for operand in operands for n in parameters_of(operand.value)}
        reached |= {
            name
            for clause in resumed
            for step in clause.steps
            if isinstance(step, ast.StepAssign)
            for name in names_in(step.value)
        }
        reached |= {checked.leaf.version_parameter or ""}
        for parameter in parameters:
            if isinstance(parameter.shape, Array) and parameter.shape.count is not None:
                used = reached & {element.name for element in parameter.elements}
                reached |= {parameter.shape.count} if used else set()
        original = {n for operand in checked.leaf.operands for n in parameters_of(operand.value)}
        original |= {n for p in checked.leaf.parameters if (n := _count_of(p)) is not None}
        listed = {p.name.text for p in item.parameters} if item and item.parameters else set()
        kept = []
        for parameter in parameters:
            name = parameter.name
            names = {name, *(element.name for element in parameter.elements)}
            if names & reached:
                kept.append(parameter)
            elif self._is_version(parameter, checked):
                continue
            elif not names & original or name in listed:
                message = f"parameter {name} reaches no register"
                help = "use it in an operand or leave it out"
                self._sink.report("E0411", message, parameter.span, help=help)
        return tuple(kept)

    def _is_version(self, parameter: Parameter, checked: CheckedLeaf) -> bool:
        """Whether the parameter may be the version that the leaf misspells, which was reported."""
        is_wrong = checked.item.version_parameter is not None
        return is_wrong and checked.leaf.version_parameter is None and parameter.shape is None

    # -- operands

    def _operands(
        self,
        checked: CheckedLeaf,
        clauses: tuple[ast.Clause, ...],
        parameters: tuple[Parameter, ...],
        scope: Scope,
    ) -> tuple[Operand, ...]:
        """The leaf's operands, those that the wrapper fixes replaced."""
        leaf = checked.leaf
        fixed = self._leaves.operands(
            [c for c in clauses if isinstance(c, ast.Assign | ast.AssignFile)],
            parameters,
            scope,
            leaf.conduit,
            leaf.allows_rbp,
        )
        remaining = list(leaf.operands)
        for operand in fixed:
            mask = slice_mask(operand.place.low, operand.place.high)
            replaced = [
                other
                for other in remaining
                if other.place.register == operand.place.register
                and not slice_mask(other.place.low, other.place.high) & ~mask
            ]
            if operand.place.register == NOWHERE:
                continue
            if not replaced:
                message = f"{leaf.name} has no operand in {operand.place} to replace"
                notes = [("the leaf is here", leaf.span)]
                help = f"its operands are in {', '.join(str(o.place) for o in leaf.operands)}"
                help = help if leaf.operands else "it has no operands"
                self._sink.report("E0414", message, operand.span, notes=notes, help=help)
                continue
            remaining = [other for other in remaining if other not in replaced]
            if not report_overlap(operand.place, remaining, self._sink):
                remaining.append(operand)
        return tuple(remaining)

    # -- outcomes

    def _edges(self, checked: CheckedLeaf, clauses: tuple[ast.Clause, ...], scope: Scope) -> Edges:
        conduit = checked.leaf.conduit
        edges = conduit.edges
        for items, where in ((checked.item.clauses, checked.scope), (clauses, scope)):
            outcomes = [clause for clause in items if isinstance(clause, ast.Outcome)]
            caller = Caller(
                conduit.instruction, conduit.status, conduit.families, where, is_conduit=False
            )
            edges = self._conduits.actions.edges(outcomes, edges, caller)
        for output in checked.leaf.outputs:
            if output.place.register != CARRY_FLAG:
                continue
            if edges.carry is not None:
                message = f"the carry flag is output {output.name}, so it is no outcome"
                notes = [("the output is here", output.span)]
                self._sink.report("E0418", message, edges.carry.span, notes=notes)
            if _is_none_left(checked.leaf, edges):
                message = f"every register returns something, so none is left for {output.name}"
                help = "a register is needed to fetch the carry flag with; return one output less"
                self._sink.report("E0401", message, output.span, help=help)
        return edges

    def _check_noreturn(
        self,
        place: Span,
        checked: CheckedLeaf,
        outputs: tuple[Output, ...],
        again: tuple[Again, ...],
        clauses: tuple[ast.Clause, ...],
    ) -> None:
        for output in outputs[:1]:
            notes = [("the output is here", output.span)]
            message = "a call that does not return delivers nothing"
            self._sink.report("E0607", message, place, notes=notes)
        for clause in again[:1]:
            notes = [("the clause is here", clause.span)]
            message = "a call that does not return has no status to act on"
            self._sink.report("E0607", message, place, notes=notes)
        for item in (*checked.item.clauses, *clauses):
            if isinstance(item, ast.Outcome) and not isinstance(item.action, ast.TrapAction):
                message = "a function that does not return traps if the call does not complete"
            elif isinstance(item, ast.Check) and item.status is not None:
                message = "a function that does not return has no status to return"
            else:
                continue
            notes = [("it is said here that it does not return", place)]
            self._sink.report("E0607", message, item.span, notes=notes, help="use `trap`")


def trap_everywhere(edges: Edges, place: Span) -> Edges:
    """The edges of a call that must not return: each traps."""
    trap = Trap(place)
    return Edges(
        None if edges.carry is None else trap,
        None if edges.fault is None else trap,
        tuple((vector, trap) for vector, _ in edges.vectors),
        None if edges.refused is None else replace(edges.refused, action=trap),
    )


def _is_none_left(leaf: Leaf, edges: Edges) -> bool:
    """Whether what a call brings back needs every register there is."""
    used = leaf.conduit.told | {output.place.register for output in leaf.outputs}
    if edges.fault is not None or edges.vectors:
        used |= {"rax"}  # where the fixup leaves the vector
    return used >= REGISTERS.keys() - {NEVER_AN_OPERAND}


def _count_of(parameter: Parameter) -> str | None:
    """The parameter that says how many elements there are, if one does."""
    return parameter.shape.count if isinstance(parameter.shape, Array) else None


def _flag(clauses: tuple[ast.Clause, ...], word: str) -> Span | None:
    return next((c.span for c in clauses if isinstance(c, ast.Flag) and c.word == word), None)


def _notes(clauses: tuple[ast.Clause, ...]) -> tuple[str, ...]:
    return tuple(c.text.value for c in clauses if isinstance(c, ast.NoteText))


def _deprecated(clauses: tuple[ast.Clause, ...]) -> str | None:
    found = next((c for c in clauses if isinstance(c, ast.Deprecated)), None)
    if found is None:
        return None
    return found.reason.value if found.reason else "do not use it in new code"
