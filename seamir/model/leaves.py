"""Checks leaves: parameters, operands, outputs, and the facts about a call.

Takes a parsed leaf and the conduit it goes through, returns a Leaf in which every register has
one writer, every value fits and every parameter reaches a register. Clauses that wrappers may
also have (retry, deliver, ...) are checked by wrappers.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seamir.model.conduits import (
    ConduitChecker,
    check_bits,
    expand_registers,
    report_idle_preserves,
    report_overlap,
)
from seamir.model.declarations import Declarations
from seamir.model.entities import Bits, Conduit, Leaf, Operand, Output, Parameter
from seamir.model.expressions import (
    Binary,
    Constant,
    Expression,
    ParameterValue,
    fold,
    parameters_of,
)
from seamir.model.names import check_c_name
from seamir.model.registers import ONLY_IF_ALLOWED
from seamir.model.scope import Scope
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import BUILTIN_TYPES, Type
from seamir.model.values import ValueChecker, substitute
from seamir.syntax import ast


@dataclass(frozen=True)
class CheckedLeaf:
    """A leaf with what its wrappers need to check theirs: its file's scope, and its clauses."""

    leaf: Leaf
    item: ast.LeafItem
    scope: Scope


class LeafChecker:
    """Checks leaves one at a time."""

    def __init__(self, declarations: Declarations, conduits: ConduitChecker) -> None:
        self._declarations = declarations
        self._sink = declarations.sink
        self._conduits = conduits

    def check(self, item: ast.LeafItem, scope: Scope, conduit: Conduit) -> Leaf | None:
        """The checked leaf; None after a report that leaves nothing to go on with."""
        number = item.number.value if item.number else None
        version = item.version.value if item.version else 0
        self._check_selectors(item, conduit, number, version)
        parameters = self._parameters(item, scope)
        if parameters is None:
            return None
        allows_rbp = self._allows_rbp(item)
        operands = self.operands(
            [clause for clause in item.clauses if isinstance(clause, ast.Assign)],
            parameters,
            scope,
            conduit,
            allows_rbp,
        )
        outputs = self._outputs(item, parameters, scope, conduit, operands, allows_rbp)
        clobbers = self._clobbers(item, conduit, outputs)
        facts = _Facts(item.clauses)
        return Leaf(
            name=item.name.text,
            number=number,
            version=version,
            conduit=conduit,
            parameters=parameters,
            outputs=outputs,
            operands=operands,
            clobbers=clobbers,
            clobbers_memory=conduit.clobbers_memory or facts.memory,
            clobbers_simd=conduit.clobbers_simd or facts.simd,
            allows_rbp=allows_rbp,
            effect=facts.effect,
            since=facts.since,
            requires=facts.requires,
            doc=item.doc,
            span=item.name.span,
        )

    # -- selectors

    def _check_selectors(
        self, item: ast.LeafItem, conduit: Conduit, number: int | None, version: int
    ) -> None:
        used = {name for operand in conduit.selectors for name in parameters_of(operand.value)}
        if "leaf" in used and number is None:
            message = f"{item.name.text} needs a number: conduit {conduit.name} selects by it"
            self._sink.report("E0407", message, item.name.span)
            return
        if "leaf" not in used and item.number is not None:
            message = f"conduit {conduit.name} has no place for a leaf number"
            self._sink.report("E0407", message, item.number.span)
        if "version" not in used and item.version is not None:
            message = f"conduit {conduit.name} has no place for a version"
            self._sink.report("E0407", message, item.version.span)
        for operand in conduit.selectors:
            value = fold(substitute(operand.value, {"leaf": number or 0, "version": version}))
            if isinstance(value, Constant) and value.value >> operand.place.width:
                names = parameters_of(operand.value)
                wrong = item.version if "version" in names and item.version else item.number
                message = f"{value.value:#x} does not fit {operand.place} of conduit {conduit.name}"
                span = wrong.span if wrong else item.name.span
                self._sink.report("E0304", message, span)

    # -- parameters

    def _parameters(self, item: ast.LeafItem, scope: Scope) -> tuple[Parameter, ...] | None:
        parameters: list[Parameter] = []
        complete = True
        for entry in item.parameters:
            kind = self._declarations.type(entry.type, scope)
            check_c_name(entry.name, "a parameter", self._sink)
            for other in parameters:
                if other.name == entry.name.text:
                    notes = [("the first is here", other.span)]
                    message = f"parameter {other.name} is there twice"
                    self._sink.report("E0207", message, entry.name.span, notes=notes)
            if kind is None:
                complete = False
                continue
            parameters.append(Parameter(entry.name.text, kind, kind, entry.doc, entry.name.span))
        return tuple(parameters) if complete else None

    # -- operands

    def operands(
        self,
        items: Iterable[ast.Assign],
        parameters: tuple[Parameter, ...],
        scope: Scope,
        conduit: Conduit,
        allows_rbp: bool,
    ) -> tuple[Operand, ...]:
        """The checked operands; each bit of a register has one writer."""
        values = self.value_checker(parameters, scope, conduit)
        operands: list[Operand] = []
        for item in items:
            place = check_bits(item.place, self._declarations)
            value = values.check(item.value)
            if place is None or not self.may_use(place, conduit, allows_rbp):
                continue
            if report_overlap(place, operands, self._sink):
                continue
            if value is None or not values.check_fits(item.value, value, place):
                # The place counts as written and the names as used: no follow-up errors.
                value = _unknown(item.value, parameters)
            since = item.since.value if item.since else None
            operands.append(Operand(place, value, since, item.doc, item.span))
        return tuple(operands)

    def value_checker(
        self, parameters: tuple[Parameter, ...], scope: Scope, conduit: Conduit
    ) -> ValueChecker:
        """A checker for expressions over the parameters."""
        return ValueChecker(
            self._declarations,
            scope,
            {p.name: ParameterValue(p.name, p.promise.possible) for p in parameters},
            {p.name: p.promise for p in parameters},
            conduit.families,
        )

    def may_use(self, place: Bits, conduit: Conduit, allows_rbp: bool) -> bool:
        """Reports registers that a leaf cannot use as operand or output."""
        reserved = conduit.reserved
        if place.register in reserved:
            message = f"{place.register} belongs to conduit {conduit.name}"
            notes = [("the conduit uses it here", reserved[place.register])]
            self._sink.report("E0408", message, place.span, notes=notes)
            return False
        if place.register == ONLY_IF_ALLOWED and not allows_rbp:
            message = "rbp is the frame pointer of many kernels and debuggers"
            self._sink.report("E0409", message, place.span, help="add `allow rbp;` to the leaf")
            return False
        return True

    def _allows_rbp(self, item: ast.LeafItem) -> bool:
        allows = False
        for clause in item.clauses:
            if not isinstance(clause, ast.Allow):
                continue
            if clause.register.text != ONLY_IF_ALLOWED:
                message = f"{clause.register.text} needs no leave; only rbp does"
                self._sink.report("E0409", message, clause.register.span)
            allows = True
        return allows

    # -- outputs

    def _outputs(
        self,
        item: ast.LeafItem,
        parameters: tuple[Parameter, ...],
        scope: Scope,
        conduit: Conduit,
        operands: tuple[Operand, ...],
        allows_rbp: bool,
    ) -> tuple[Output, ...]:
        outputs: list[Output] = []
        for entry in item.outputs:
            check_c_name(entry.name, "an output", self._sink)
            for other in outputs:
                if other.name == entry.name.text:
                    notes = [("the first is here", other.span)]
                    message = f"output {other.name} is there twice"
                    self._sink.report("E0207", message, entry.name.span, notes=notes)
            place = check_bits(entry.place, self._declarations)
            kind = self._output_type(entry, scope, parameters)
            test = self.condition(entry.condition, conduit) if entry.condition else None
            if place is None or kind is None or not self.may_use(place, conduit, allows_rbp):
                continue
            self._check_width(entry, place, kind)
            preload = self._preload(entry, scope, conduit, operands)
            in_out = any(p.name == entry.name.text for p in parameters)
            if in_out and entry.optional:
                message = f"{entry.name.text} is read at entry, so it cannot be optional"
                self._sink.report("E0603", message, entry.span)
            outputs.append(
                Output(
                    entry.name.text, kind, place, test, preload, entry.optional, in_out,
                    entry.doc, entry.name.span,
                )
            )  # fmt: skip
        self._check_preloads(outputs)
        return tuple(outputs)

    def _output_type(
        self, entry: ast.Output, scope: Scope, parameters: tuple[Parameter, ...]
    ) -> Type | None:
        parameter = next((p for p in parameters if p.name == entry.name.text), None)
        if entry.type is None:
            return parameter.type if parameter else BUILTIN_TYPES["u64"]
        kind = self._declarations.type(entry.type, scope)
        if parameter is not None and kind is not None and kind != parameter.type:
            message = f"{entry.name.text} goes in as {parameter.type.name}"
            notes = [("it goes in here", parameter.span)]
            self._sink.report("E0309", message, entry.type.span, notes=notes)
        return kind

    def _check_width(self, entry: ast.Output, place: Bits, kind: Type) -> None:
        if kind.c_base == "bool" and place.width != 1:
            message = "a bool is taken from one bit"
            help = f"write {place.register}[0]"
            self._sink.report("E0310", message, entry.place.span, help=help)
        elif entry.place.slice is not None and place.width > kind.width:
            message = f"{place} has {place.width} bits and {kind.name} has {kind.width}"
            self._sink.report("E0310", message, entry.place.span)

    def _preload(
        self, entry: ast.Output, scope: Scope, conduit: Conduit, operands: tuple[Operand, ...]
    ) -> int | None:
        if entry.preload is None:
            return None
        register = entry.place.register.text
        for operand in operands:
            if operand.place.register == register:
                notes = [("the operand is here", operand.span)]
                message = f"{register} is an operand, so `else` cannot load it"
                self._sink.report("E0410", message, entry.preload.span, notes=notes)
                return None
        value = self.value_checker((), scope, conduit).check(entry.preload)
        folded = fold(value) if value is not None else None
        return folded.value if isinstance(folded, Constant) else None

    def _check_preloads(self, outputs: list[Output]) -> None:
        chosen: dict[str, Output] = {}
        for output in outputs:
            if output.preload is None:
                continue
            first = chosen.setdefault(output.place.register, output)
            if first.preload != output.preload:
                notes = [("the other is here", first.span)]
                message = f"{output.place.register} cannot be loaded with two values"
                self._sink.report("E0410", message, output.span, notes=notes)

    def condition(self, item: ast.Condition, conduit: Conduit) -> StatusTest | None:
        """The checked `on` of an output."""
        success = success_of(conduit)
        any_of: tuple[Match, ...] = ()
        inverted = False
        patterns: list[Match] = []
        words: list[str] = []
        for tested in item.alternatives:
            if isinstance(tested.what, ast.Pattern):
                words.append(tested.span.text)
                patterns += self._declarations.pattern(tested.what, conduit.families) or ()
                continue
            words.append(tested.what)
            if success is None:
                message = f"no status family of {conduit.name} says what success is"
                self._sink.report("E0504", message, tested.span)
                return None
            if any_of:
                self._sink.report("E0505", "this condition is said twice", tested.span)
            any_of, inverted = success, tested.what == "error"
        excepted = [
            match
            for pattern in item.exceptions
            for match in self._declarations.pattern(pattern, conduit.families) or ()
        ]
        text = " or ".join(words)
        if item.exceptions:
            text += " except " + " or ".join(pattern.span.text for pattern in item.exceptions)
        return StatusTest(any_of, inverted, tuple(patterns), tuple(excepted), text)

    # -- clobbers

    def _clobbers(
        self, item: ast.LeafItem, conduit: Conduit, outputs: tuple[Output, ...]
    ) -> frozenset[str]:
        clobbers = set(conduit.clobbers)
        returned = {output.place.register: output.span for output in outputs}
        for clause in item.clauses:
            if isinstance(clause, ast.Clobbers):
                listed = expand_registers(clause.registers, self._sink)
                if ONLY_IF_ALLOWED in listed:
                    message = "only leaves that hand over all registers may clobber rbp"
                    self._sink.report("E0409", message, listed[ONLY_IF_ALLOWED])
                clobbers |= set(listed) - {ONLY_IF_ALLOWED}
        for clause in item.clauses:
            if not isinstance(clause, ast.Preserves):
                continue
            preserved = expand_registers(clause.registers, self._sink)
            report_idle_preserves(preserved, clobbers, self._sink)
            for name, span in preserved.items():
                if name in returned:
                    notes = [("the output is here", returned[name])]
                    message = f"{name} returns an output, so it is not preserved"
                    self._sink.report("E0405", message, span, notes=notes)
            clobbers -= set(preserved)
        return frozenset(clobbers)


class _Facts:
    """What a leaf says about itself that costs no instruction."""

    def __init__(self, clauses: Iterable[ast.Clause]) -> None:
        self.memory = self.simd = False
        self.effect: str | None = None
        self.since: str | None = None
        requires: list[str] = []
        for clause in clauses:
            if isinstance(clause, ast.Clobbers):
                self.memory |= clause.memory
                self.simd |= clause.simd
            elif isinstance(clause, ast.Flag) and clause.word == "effect":
                self.effect = "global"
            elif isinstance(clause, ast.Since):
                self.since = clause.version.value
            elif isinstance(clause, ast.Requires):
                requires.append(clause.feature.text)
        self.requires = tuple(requires)


def success_of(conduit: Conduit) -> tuple[Match, ...] | None:
    """When a completed call through the conduit succeeded, by its first family that says so."""
    return next((f.success for f in conduit.families if f.success is not None), None)


def _unknown(item: ast.Expr, parameters: tuple[Parameter, ...]) -> Expression:
    """A stand-in for a wrong expression that still reads the parameters it names."""
    names = {p.name: p for p in parameters}
    found = [name for name in _names_in(item) if name in names]
    if not found:
        return Constant(0)
    value: Expression = ParameterValue(found[0], names[found[0]].promise.possible)
    for name in found[1:]:
        from_parameter = ParameterValue(name, names[name].promise.possible)
        value = Binary("|", value, from_parameter)
    return value


def _names_in(item: ast.Expr) -> list[str]:
    if isinstance(item, ast.NameExpr):
        return [item.name.text]
    if isinstance(item, ast.BinaryExpr):
        return _names_in(item.left) + _names_in(item.right)
    return []

