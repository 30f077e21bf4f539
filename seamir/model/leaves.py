"""Checks leaves: parameters, operands, outputs, and the facts about a call.

Takes a parsed leaf and the conduit it goes through, returns a Leaf in which every register has
one writer, every value fits and every parameter reaches a register. Clauses that wrappers may
also have (retry, deliver, ...) are checked by wrappers.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from seamir.model.clauses import report_repeats
from seamir.model.conduits import ConduitChecker
from seamir.model.declarations import Declarations
from seamir.model.entities import NOWHERE, Bits, Conduit, Leaf, Operand, Output, Parameter
from seamir.model.expressions import (
    Binary,
    Constant,
    Expression,
    ParameterValue,
    fold,
    parameters_of,
    possible,
)
from seamir.model.order import names_in
from seamir.model.outputs import Context, OutputChecker
from seamir.model.places import (
    check_bits,
    expand_registers,
    may_name,
    report_assigned,
    report_idle_preserves,
    report_overlap,
)
from seamir.model.registers import (
    NEVER_AN_OPERAND,
    NEVER_EXPOSED,
    ONLY_IF_ALLOWED,
    REGISTERS,
    exposure_mask,
)
from seamir.model.scope import Scope, suggest
from seamir.model.shapes import ShapeChecker, exposed_registers
from seamir.model.values import ValueChecker, substitute
from seamir.source import Span
from seamir.syntax import ast

# All that a leaf can give away but RBP, about which it has to say something then.
_EVERY_OTHER = REGISTERS.keys() - {NEVER_AN_OPERAND, ONLY_IF_ALLOWED, "rax"}


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
        self.shapes = ShapeChecker(declarations)
        self._outputs = OutputChecker(declarations, self.shapes)

    def check(self, item: ast.LeafItem, scope: Scope, conduit: Conduit) -> Leaf:
        """The checked leaf; what was reported is replaced by something that fits."""
        parameters = self._parameters(item, scope)
        allows_rbp = self._allows_rbp(item)
        assigned = [c for c in item.clauses if isinstance(c, ast.Assign | ast.AssignFile)]
        operands = self.operands(assigned, parameters, scope, conduit, allows_rbp)
        by_name = {parameter.name: parameter for parameter in parameters}
        context = Context(scope, conduit, by_name, operands, allows_rbp)
        outputs = self._outputs.outputs(item.outputs, context)
        report_repeats(item.clauses, self._sink)
        facts = _Facts(item.clauses)
        leaf = Leaf(
            name=item.name.text,
            number=item.number.value if item.number else None,
            version=item.version.value if item.version else 0,
            version_parameter=self._version_parameter(item, parameters),
            alias_of=facts.alias,
            conduit=conduit,
            parameters=parameters,
            outputs=outputs,
            operands=operands,
            clobbers=self._clobbers(item, conduit, operands, outputs),
            clobbers_memory=conduit.clobbers_memory or facts.memory,
            clobbers_simd=conduit.clobbers_simd or facts.simd,
            allows_rbp=allows_rbp,
            scrub=conduit.scrub,
            effect=facts.effect,
            since=facts.since,
            requires=facts.requires,
            doc=item.doc,
            span=item.name.span,
        )
        self._check_selectors(item, leaf)
        self._check_rbp(item, leaf)
        return leaf

    def check_types(self, item: ast.LeafItem, scope: Scope) -> None:
        """Reports unknown types of a leaf whose conduit is unknown too."""
        names = [parameter.type for parameter in item.parameters]
        names += [output.type for output in item.outputs if output.type is not None]
        for name in names:
            if self._declarations.names_layout(name, scope):
                self._declarations.layout(name, scope)
            else:
                self._declarations.type(name, scope)

    # -- selectors

    def _check_selectors(self, item: ast.LeafItem, leaf: Leaf) -> None:
        conduit = leaf.conduit
        used = {name for operand in conduit.selectors for name in parameters_of(operand.value)}
        if "leaf" in used and leaf.number is None:
            message = f"{leaf.name} needs a number: conduit {conduit.name} selects by it"
            self._sink.report("E0407", message, leaf.span)
            return
        if "leaf" not in used and item.number is not None:
            message = f"conduit {conduit.name} has no place for a leaf number"
            self._sink.report("E0407", message, item.number.span)
        version = item.version or item.version_parameter
        if "version" not in used and version is not None:
            message = f"conduit {conduit.name} has no place for a version"
            self._sink.report("E0407", message, version.span)
        for operand, value in zip(conduit.selectors, selector_values(leaf), strict=True):
            names = parameters_of(operand.value)
            if not names or possible(value).high >> operand.place.width == 0:
                continue
            wrong = version if "version" in names and version else item.number
            span = wrong.span if wrong else leaf.span
            what = f"{value.value:#x}" if isinstance(value, Constant) else f"`{span.text}`"
            does = "does not fit" if isinstance(value, Constant) else "may not fit"
            message = f"{what} {does} {operand.place} of conduit {conduit.name}"
            help = None
            if not isinstance(value, Constant):
                help = f"give it an unsigned type of at most {operand.place.width} bits"
            self._sink.report("E0304", message, span, help=help)

    def _version_parameter(
        self, item: ast.LeafItem, parameters: tuple[Parameter, ...]
    ) -> str | None:
        """The parameter that carries the version; reports one that is none, or no single value."""
        name = item.version_parameter
        if name is None:
            return None
        found = {parameter.name: parameter for parameter in parameters}.get(name.text)
        if found is None:
            message = f"there is no parameter `{name.text}`"
            hint = suggest(name.text, self._sink, [parameter.name for parameter in parameters])
            help = hint or f"declare it: ({name.text}: u8)"
            self._sink.report("E0202", message, name.span, help=help)
            return None
        if found.shape is not None:
            message = f"{name.text} is an array or a layout, which is no version"
            self._sink.report("E0313", message, name.span)
            return None
        return found.name

    # -- parameters

    def _parameters(self, item: ast.LeafItem, scope: Scope) -> tuple[Parameter, ...]:
        parameters: dict[str, Parameter] = {}
        for entry in item.parameters:
            for parameter in self.shapes.parameters(entry, scope, parameters):
                first = parameters.setdefault(parameter.name, parameter)
                if first is not parameter:
                    notes = [("the first is here", first.span)]
                    message = f"parameter {parameter.name} is there twice"
                    self._sink.report("E0207", message, parameter.span, notes=notes)
        return tuple(parameters.values())

    # -- operands

    def operands(
        self,
        items: Iterable[ast.Assign | ast.AssignFile],
        parameters: tuple[Parameter, ...],
        scope: Scope,
        conduit: Conduit,
        allows_rbp: bool,
    ) -> tuple[Operand, ...]:
        """The checked operands; each bit of a register has one writer."""
        values = self.value_checker(parameters, scope, conduit)
        by_name = {parameter.name: parameter for parameter in parameters}
        operands: list[Operand] = []
        for item in items:
            if isinstance(item, ast.AssignFile):
                nowhere = Bits(NOWHERE, 0, 63, item.span)
                made = self.shapes.operands(item, by_name, values) or [
                    Operand(nowhere, _unknown(item.value, parameters), None, "", item.span)
                ]
            else:
                made = [self._operand(item, parameters, values)]
            for operand in made:
                place = operand.place
                usable = place.register == NOWHERE or (
                    self._may_use(place, conduit, allows_rbp)
                    and not report_overlap(place, operands, self._sink)
                )
                nowhere = Bits(NOWHERE, 0, 63, place.span)
                operands.append(operand if usable else replace(operand, place=nowhere))
        return tuple(operands)

    def _operand(
        self, item: ast.Assign, parameters: tuple[Parameter, ...], values: ValueChecker
    ) -> Operand:
        """One operand. What is wrong counts as written and its names as used: no errors follow."""
        place = check_bits(item.place, self._declarations)
        value = values.check(item.value)
        if place is None:
            place, value = Bits(NOWHERE, 0, 63, item.span), None
        if value is None or not values.check_fits(item.value, value, place):
            value = _unknown(item.value, parameters)
        since = item.since.value if item.since else None
        return Operand(place, value, since, item.doc, item.span)

    def value_checker(
        self, parameters: tuple[Parameter, ...], scope: Scope, conduit: Conduit
    ) -> ValueChecker:
        """A checker for expressions over the parameters."""
        single = [p for p in parameters if p.shape is None]
        return ValueChecker(
            self._declarations,
            scope,
            {p.name: ParameterValue(p.name, p.promise.possible) for p in single},
            {p.name: p.promise for p in single},
            conduit.families,
            shaped=[p.name for p in parameters if p.shape is not None],
        )

    def _may_use(self, place: Bits, conduit: Conduit, allows_rbp: bool) -> bool:
        """Reports registers that a leaf cannot use as operand."""
        if report_assigned(place, conduit, self._sink):
            return False
        if conduit.exposes and place.register in NEVER_EXPOSED:
            message = f"{place.register} is never exposed, so the other side gets nothing in it"
            self._sink.report("E0416", message, place.span)
            return False
        return may_name(place, allows_rbp, self._sink)

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

    # -- clobbers

    def _clobbers(
        self,
        item: ast.LeafItem,
        conduit: Conduit,
        operands: tuple[Operand, ...],
        outputs: tuple[Output, ...],
    ) -> frozenset[str]:
        clobbers = set(conduit.clobbers)
        places = tuple(output.place for output in outputs)
        exposed = exposed_registers(conduit, operands, places) if conduit.exposes else frozenset()
        returned = {output.place.register: output.span for output in outputs}
        own: dict[str, Span] = {}
        for clause in item.clauses:
            if isinstance(clause, ast.Clobbers):
                own |= expand_registers(clause.registers, self._sink)
        clobbers |= own.keys()
        for clause in item.clauses:
            if not isinstance(clause, ast.Preserves):
                continue
            preserved = expand_registers(clause.registers, self._sink)
            changed = clobbers | exposed
            if changed | returned.keys() | conduit.told >= _EVERY_OTHER:
                changed |= {ONLY_IF_ALLOWED}  # to say so is the answer to E0415
            report_idle_preserves(preserved, changed, self._sink)
            for name, span in preserved.items():
                if name in returned:
                    notes = [("the output is here", returned[name])]
                    message = f"{name} returns an output, so it is not preserved"
                    self._sink.report("E0405", message, span, notes=notes)
                elif name in own:
                    notes = [("it is said here", own[name])]
                    message = f"{name} is clobbered, so it is not preserved"
                    self._sink.report("E0405", message, span, notes=notes)
                elif name in exposed:
                    message = f"{name} is exposed, so the other side may change it"
                    self._sink.report("E0416", message, span)
            clobbers -= set(preserved)
        return frozenset(clobbers | exposed)

    def _check_rbp(self, item: ast.LeafItem, leaf: Leaf) -> None:
        """Reports a leaf that gives all registers away and leaves RBP open."""
        if leaf.conduit.exposes:
            return  # what is exposed is known, and RBP is not
        changed = leaf.clobbers | leaf.conduit.told
        changed |= {output.place.register for output in leaf.outputs}
        kept = [c for c in item.clauses if isinstance(c, ast.Preserves)]
        said = changed | {entry.first.text for clause in kept for entry in clause.registers}
        if changed >= _EVERY_OTHER and ONLY_IF_ALLOWED not in said:
            message = f"{leaf.name} gives every other register away and says nothing of rbp"
            help = "add `clobbers rbp;`, or `preserves rbp;` if the other side promises it"
            self._sink.report("E0415", message, leaf.span, help=help)


class _Facts:
    """What a leaf says about itself that costs no instruction."""

    def __init__(self, clauses: Iterable[ast.Clause]) -> None:
        self.memory = self.simd = False
        self.effect: str | None = None
        self.since: str | None = None
        self.alias: str | None = None
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
            elif isinstance(clause, ast.AliasOf):
                self.alias = clause.leaf.text
        self.requires = tuple(requires)


def selector_values(leaf: Leaf) -> tuple[Expression, ...]:
    """The values of the conduit's selectors for a leaf, constant parts computed."""
    version: Expression = Constant(leaf.version)
    if leaf.version_parameter is not None:
        promise = next(p.promise for p in leaf.parameters if p.name == leaf.version_parameter)
        version = ParameterValue(leaf.version_parameter, promise.possible)
    places = tuple(output.place for output in leaf.outputs)
    exposed = exposed_registers(leaf.conduit, leaf.operands, places)
    named = {
        "leaf": Constant(leaf.number or 0),
        "version": version,
        "exposed": Constant(exposure_mask(exposed)),
    }
    return tuple(fold(substitute(operand.value, named)) for operand in leaf.conduit.selectors)


def _unknown(item: ast.Expr, parameters: tuple[Parameter, ...]) -> Expression:
    """A stand-in for a wrong expression that still reads the parameters it names."""
    named = set(names_in(item))
    value: Expression = Constant(0)
    for parameter in parameters:
        if parameter.name in named:
            name = parameter.elements[0].name
            read = ParameterValue(name, parameter.promise.possible)
            value = Binary("|", value, read)
    return value
