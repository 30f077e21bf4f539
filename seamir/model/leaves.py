"""Checks leaves: parameters, operands, outputs, and the facts about a call.

Takes a parsed leaf and the conduit it goes through, returns a Leaf in which every register has
one writer, every value fits and every parameter reaches a register. Clauses that wrappers may
also have (retry, deliver, ...) are checked by wrappers.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seamir.model.clauses import report_repeats
from seamir.model.conduits import (
    ConduitChecker,
    check_bits,
    expand_registers,
    report_assigned,
    report_idle_preserves,
    report_overlap,
)
from seamir.model.declarations import Declarations
from seamir.model.entities import NOWHERE, Bits, Conduit, Leaf, Operand, Output, Parameter
from seamir.model.expressions import (
    Binary,
    Constant,
    Expression,
    ParameterValue,
    fold,
    parameters_of,
)
from seamir.model.names import check_c_name, check_not_register
from seamir.model.order import names_in
from seamir.model.registers import ONLY_IF_ALLOWED
from seamir.model.scope import Scope, suggest
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import BUILTIN_TYPES, UNKNOWN_TYPE, Type
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

    def check(self, item: ast.LeafItem, scope: Scope, conduit: Conduit) -> Leaf:
        """The checked leaf; what was reported is replaced by something that fits."""
        number = item.number.value if item.number else None
        version = item.version.value if item.version else 0
        self._check_selectors(item, conduit, number, version)
        parameters = self._parameters(item, scope)
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
        report_repeats(item.clauses, self._sink)
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

    def check_types(self, item: ast.LeafItem, scope: Scope) -> None:
        """Reports unknown types of a leaf whose conduit is unknown too."""
        for parameter in item.parameters:
            self._declarations.type(parameter.type, scope)
        for output in item.outputs:
            if output.type is not None:
                self._declarations.type(output.type, scope)

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
            names = parameters_of(operand.value)
            value = fold(substitute(operand.value, {"leaf": number or 0, "version": version}))
            if names and isinstance(value, Constant) and value.value >> operand.place.width:
                wrong = item.version if "version" in names and item.version else item.number
                message = f"{value.value:#x} does not fit {operand.place} of conduit {conduit.name}"
                span = wrong.span if wrong else item.name.span
                self._sink.report("E0304", message, span)

    # -- parameters

    def _parameters(self, item: ast.LeafItem, scope: Scope) -> tuple[Parameter, ...]:
        parameters: dict[str, Parameter] = {}
        for entry in item.parameters:
            kind = self._declarations.type(entry.type, scope) or UNKNOWN_TYPE
            self._check_name(entry.name, "a parameter")
            name, span = entry.name.text, entry.name.span
            parameter = Parameter(name, kind, kind, entry.doc, span)
            first = parameters.setdefault(name, parameter)
            if first is not parameter:
                notes = [("the first is here", first.span)]
                message = f"parameter {name} is there twice"
                self._sink.report("E0207", message, span, notes=notes)
        return tuple(parameters.values())

    def _check_name(self, name: ast.Name, what: str) -> None:
        check_c_name(name, what, self._sink)
        check_not_register(name, what, self._sink)

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
            usable = place is not None and self.may_use(place, conduit, allows_rbp)
            if place is None or not usable or report_overlap(place, operands, self._sink):
                place, value = Bits(NOWHERE, 0, 63, item.span), None
            # What is wrong counts as written and its names as used: no errors follow from it.
            if value is None or not values.check_fits(item.value, value, place):
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
        """Reports registers that a leaf cannot use as operand."""
        if report_assigned(place, conduit, self._sink):
            return False
        return self._may_name(place, allows_rbp)

    def _may_return(self, place: Bits, conduit: Conduit, allows_rbp: bool) -> bool:
        """Reports registers that a leaf cannot use as output."""
        if place.register == conduit.status.register:
            notes = [("the conduit says so here", conduit.status.span)]
            message = f"{place.register} returns the status of conduit {conduit.name}"
            self._sink.report("E0408", message, place.span, notes=notes)
            return False
        return self._may_name(place, allows_rbp)

    def _may_name(self, place: Bits, allows_rbp: bool) -> bool:
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
        outputs: dict[str, Output] = {}
        by_name = {parameter.name: parameter for parameter in parameters}
        for entry in item.outputs:
            self._check_name(entry.name, "an output")
            place = check_bits(entry.place, self._declarations)
            kind = self._output_type(entry, scope, by_name)
            test = self.condition(entry.condition, conduit) if entry.condition else None
            if place is None or not self._may_return(place, conduit, allows_rbp):
                place = Bits(NOWHERE, 0, 63, entry.place.span)
            else:
                self._check_width(entry, place, kind)
            preload = self._preload(entry, scope, conduit, operands, by_name)
            in_out = entry.name.text in by_name
            if in_out and entry.optional:
                message = f"{entry.name.text} is read at entry, so it cannot be optional"
                self._sink.report("E0603", message, entry.span)
            output = Output(
                entry.name.text, kind, place, test, preload, entry.optional, in_out,
                entry.doc, entry.name.span,
            )  # fmt: skip
            first = outputs.setdefault(output.name, output)
            if first is not output:
                notes = [("the first is here", first.span)]
                message = f"output {output.name} is there twice"
                self._sink.report("E0207", message, output.span, notes=notes)
        self._check_preloads(outputs.values())
        return tuple(outputs.values())

    def _output_type(
        self, entry: ast.Output, scope: Scope, parameters: Mapping[str, Parameter]
    ) -> Type:
        parameter = parameters.get(entry.name.text)
        if entry.type is None:
            return parameter.type if parameter else BUILTIN_TYPES["u64"]
        kind = self._declarations.type(entry.type, scope) or UNKNOWN_TYPE
        if parameter is None or UNKNOWN_TYPE in (kind, parameter.type):
            return kind
        if kind != parameter.type:
            name, type_ = entry.name.text, parameter.type.name
            message = f"{name} goes in as {type_}, so it cannot come out as {kind.name}"
            notes = [("it goes in here", parameter.span)]
            help = "leave the type out, or give the output a name of its own"
            self._sink.report("E0309", message, entry.type.span, notes=notes, help=help)
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
        self,
        entry: ast.Output,
        scope: Scope,
        conduit: Conduit,
        operands: tuple[Operand, ...],
        parameters: Mapping[str, Parameter],
    ) -> int | None:
        if entry.preload is None:
            return None
        register = entry.place.register.text
        if register in conduit.assigned:
            notes = [("the conduit loads it here", conduit.assigned[register])]
            message = f"{register} belongs to conduit {conduit.name}, so `else` cannot load it"
            self._sink.report("E0410", message, entry.preload.span, notes=notes)
            return None
        for operand in operands:
            if operand.place.register == register:
                notes = [("the operand is here", operand.span)]
                message = f"{register} is an operand, so `else` cannot load it"
                self._sink.report("E0410", message, entry.preload.span, notes=notes)
                return None
        read = next((name for name in names_in(entry.preload) if name in parameters), None)
        if read is not None:
            message = f"`else` loads a constant, and {read} is a parameter"
            help = f"a parameter is loaded by an operand: `{register} = {read};`"
            self._sink.report("E0410", message, entry.preload.span, help=help)
            return None
        value = self.value_checker((), scope, conduit).check(entry.preload)
        folded = fold(value) if value is not None else None
        return folded.value if isinstance(folded, Constant) else None

    def _check_preloads(self, outputs: Iterable[Output]) -> None:
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
        words: list[str] = []
        for tested in item.alternatives:
            if isinstance(tested.what, ast.Pattern):
                words.append(tested.span.text)
                continue
            if success is None:
                message = f"no status family of {conduit.name} says what success is"
                help = "for example `success bits [63:62] == 0;`"
                self._sink.report("E0504", message, tested.span, help=help)
                return None
            if tested.what in words:
                self._sink.report("E0505", f"`{tested.what}` is said twice", tested.span)
            elif any_of:
                message = "a call succeeds or fails: this condition always holds"
                help = "an output without `on` is stored whenever the call completed"
                self._sink.report("E0505", message, item.span, help=help)
            words.append(tested.what)
            any_of, inverted = success, tested.what == "error"
        listed = [t.what for t in item.alternatives if isinstance(t.what, ast.Pattern)]
        listed = [p for p in listed if not self._is_misspelt_word(p, conduit)]
        patterns = self._declarations.patterns(listed, conduit.families, "E0505")
        excepted = self._declarations.patterns(item.exceptions, conduit.families, "E0505")
        text = " or ".join(words)
        if item.exceptions:
            text += " except " + " or ".join(pattern.span.text for pattern in item.exceptions)
        return StatusTest(any_of, inverted, tuple(patterns), tuple(excepted), text)

    def _is_misspelt_word(self, item: ast.Pattern, conduit: Conduit) -> bool:
        """Reports an unknown status that looks like `success` or `error`."""
        if any(item.name.text in family.codes for family in conduit.families):
            return False
        hint = suggest(item.name.text, self._sink, ("success", "error"))
        if hint is not None:
            message = f"there is no status `{item.name.text}`"
            self._sink.report("E0203", message, item.name.span, help=hint)
        return hint is not None

    # -- clobbers

    def _clobbers(
        self, item: ast.LeafItem, conduit: Conduit, outputs: tuple[Output, ...]
    ) -> frozenset[str]:
        clobbers = set(conduit.clobbers)
        returned = {output.place.register: output.span for output in outputs}
        for clause in item.clauses:
            if isinstance(clause, ast.Clobbers):
                clobbers |= set(expand_registers(clause.registers, self._sink))
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
    found = [name for name in dict.fromkeys(names_in(item)) if name in names]
    if not found:
        return Constant(0)
    value: Expression = ParameterValue(found[0], names[found[0]].promise.possible)
    for name in found[1:]:
        from_parameter = ParameterValue(name, names[name].promise.possible)
        value = Binary("|", value, from_parameter)
    return value
