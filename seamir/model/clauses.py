"""Checks the clauses that say how a call is made again, checked and delivered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from seamir.diagnostics import Diagnostics
from seamir.model.declarations import Declarations
from seamir.model.entities import (
    Again,
    Array,
    CarryRegister,
    Check,
    Conduit,
    Delivery,
    Operand,
    Output,
    Parameter,
    ReturnValue,
    SetBits,
)
from seamir.model.expressions import Constant, fold
from seamir.model.names import check_c_name
from seamir.model.places import (
    check_bits,
    expand_registers,
    report_assigned,
    report_overlap,
)
from seamir.model.scope import Scope, suggest
from seamir.model.statuses import MatchSet
from seamir.model.types import Layout
from seamir.model.values import ValueChecker
from seamir.source import Span
from seamir.syntax import ast

MAXIMUM_ATTEMPTS = 65_535
MANY_ATTEMPTS = 10_000


class ClauseChecker:
    """Checks the clauses of one leaf or wrapper against what the leaf is."""

    def __init__(
        self, declarations: Declarations, conduit: Conduit, values: ValueChecker, scope: Scope
    ) -> None:
        self._declarations = declarations
        self._scope = scope
        self._sink = declarations.sink
        self._conduit = conduit
        self._values = values

    # -- retry and resume

    def again(
        self,
        items: Iterable[ast.Clause],
        operands: tuple[Operand, ...],
        outputs: tuple[Output, ...],
    ) -> tuple[Again, ...]:
        """The checked retry and resume clauses of `items`, in order."""
        clauses: list[Again] = []
        for item in items:
            if not isinstance(item, ast.Retry | ast.Resume):
                continue
            attempts = item.attempts.value
            if not 1 <= attempts <= MAXIMUM_ATTEMPTS:
                word = "resume" if isinstance(item, ast.Resume) else "retry"
                message = f"{attempts} further attempts; `{word}` takes 1 to {MAXIMUM_ATTEMPTS}"
                help = None if attempts else "without the clause there is one attempt"
                self._sink.report("E0503", message, item.attempts.span, help=help)
                attempts = 1
            if self._has_no_status(item.span, "to act on"):
                continue
            families = self._conduit.families
            matches = self._declarations.patterns(item.patterns, families, "E0506")
            self._check_reachable(item)
            steps = self._steps(item, operands, outputs) if isinstance(item, ast.Resume) else ()
            text = " ".join(item.span.text.split("{")[0].rstrip(" ;\n").split())
            clauses.append(
                Again(
                    attempts,
                    matches,
                    steps,
                    isinstance(item, ast.Resume),
                    text,
                    item.span,
                )
            )
        return tuple(clauses)

    def _has_no_status(self, place: Span, purpose: str) -> bool:
        """Reports a clause that needs a status where the conduit has none."""
        if self._conduit.status is not None:
            return False
        message = f"conduit {self._conduit.name} has no status {purpose}"
        self._sink.report("E0417", message, place)
        return True

    def _check_reachable(self, item: ast.Retry | ast.Resume) -> None:
        """Reports a clause about a status of the wrapper's own, which `on carry` returns.

        Such statuses are in a family that does not say what success is.
        """
        carry, families = self._conduit.edges.carry, self._conduit.families
        value = fold(carry.value) if isinstance(carry, ReturnValue) else None
        if carry is None or not isinstance(value, Constant):
            return
        own = {name for f in families if f.success is None for name in f.codes}
        own -= {name for f in families if f.success is not None for name in f.codes}
        for pattern in item.patterns:
            if pattern.name.text in own and pattern.name.text == value.name:
                message = f"`on carry` returns {value.name}, so no completed call has it"
                notes = [("it is returned here", carry.span)]
                help = "a call that did not complete is not repeated; leave that to the caller"
                self._sink.report("E0510", message, pattern.span, notes=notes, help=help)

    def check_nesting(self, clauses: tuple[Again, ...]) -> None:
        """Reports clauses that match the same status, and too many attempts."""
        bound = 1
        earlier: list[tuple[Again, MatchSet]] = []
        for clause in clauses:
            bound *= clause.attempts + 1
            if bound > MAXIMUM_ATTEMPTS:  # and so there are 16 clauses to compare at most
                message = f"up to {bound} attempts; the limit is {MAXIMUM_ATTEMPTS}"
                help = "the attempts of nested clauses multiply; leave the outer loop to the caller"
                self._sink.report("E0503", message, clause.span, help=help)
                return
            statuses = MatchSet(clause.matches)
            for other, its_statuses in earlier:
                if statuses.overlaps(its_statuses):
                    notes = [("the other clause is here", other.span)]
                    message = "two clauses match the same status"
                    self._sink.report("E0506", message, clause.span, notes=notes)
            earlier.append((clause, statuses))
        if bound > MANY_ATTEMPTS:
            message = f"up to {bound} attempts before this returns"
            self._sink.report("W0503", message, clauses[-1].span)

    def _steps(
        self, item: ast.Resume, operands: tuple[Operand, ...], outputs: tuple[Output, ...]
    ) -> tuple[SetBits | CarryRegister, ...]:
        loaded = {operand.place.register for operand in operands}
        returned = {output.place.register for output in outputs}
        steps: list[SetBits | CarryRegister] = []
        written: list[Operand] = []
        carried: dict[str, Span] = {}
        for step in item.steps:
            if isinstance(step, ast.StepAssign):
                checked = self._set_bits(step, loaded)
                whole = checked is not None and checked.place.width == 64
                if checked is not None and whole and checked.place.register in carried:
                    notes = [("it is carried here", carried[checked.place.register])]
                    message = f"{checked.place} is carried, and then overwritten"
                    self._sink.report("E0406", message, checked.span, notes=notes)
                elif checked is not None and not report_overlap(checked.place, written, self._sink):
                    steps.append(checked)
                    written.append(Operand(checked.place, checked.value, None, "", step.span))
                continue
            for register, span in expand_registers(step.registers, self._sink).items():
                if carried.setdefault(register, span) is not span:
                    notes = [("it is carried here already", carried[register])]
                    message = f"{register} is carried twice"
                    self._sink.report("E0402", message, span, notes=notes)
                for earlier in written:
                    if earlier.place.register == register:
                        notes = [("it is written here", earlier.span)]
                        message = f"{register} is written, and then overwritten by `carry`"
                        help = "carry first, then change bits of what came back"
                        self._sink.report("E0406", message, span, notes=notes, help=help)
                if register not in loaded:
                    message = f"{register} is no operand, so nothing can be carried into it"
                    self._sink.report("E0507", message, span)
                elif register not in returned:
                    message = f"{register} is no output, so there is nothing to carry"
                    self._sink.report("E0507", message, span)
                else:
                    steps.append(CarryRegister(register, span))
        if not steps and not item.steps:
            message = "this resumption changes nothing"
            self._sink.report("E0508", message, item.span, help="use `retry` for that")
        return tuple(steps)

    def _set_bits(self, step: ast.StepAssign, loaded: set[str]) -> SetBits | None:
        place = check_bits(step.place, self._declarations)
        value = self._values.check(step.value)
        if place is None or value is None:
            return None
        if report_assigned(place, self._conduit, self._sink):
            return None
        if place.register not in loaded:
            message = f"{place.register} is no operand of this leaf"
            help = f"add `{place.register} = 0;` to the operands if the first attempt passes 0"
            self._sink.report("E0507", message, place.span, help=help)
            return None
        if not self._values.check_fits(step.value, value, place):
            return None
        return SetBits(place, value, step.span)

    # -- checks

    def checks(
        self, items: Iterable[ast.Clause], parameters: Mapping[str, Parameter]
    ) -> tuple[Check, ...]:
        """The checked `check` clauses of `items`."""
        checks: list[Check] = []
        for item in items:
            if not isinstance(item, ast.Check):
                continue
            parameter = parameters.get(item.parameter.text)
            if parameter is None:
                message = f"there is no parameter `{item.parameter.text}`"
                hint = suggest(item.parameter.text, self._sink, parameters)
                self._sink.report("E0202", message, item.parameter.span, help=hint)
                continue
            if parameter.shape is not None:
                message = f"{parameter.name} is an array or a layout; `check` tests single values"
                self._sink.report("E0313", message, item.parameter.span)
                continue
            if not parameter.promise.is_narrowed:
                if _counts_too_far(parameter, parameters):
                    continue  # which was reported, and is mended by the same type
                message = f"{parameter.promise.name} promises nothing that could be checked"
                help = "give the parameter a type with a range or bits"
                self._sink.report("E0509", message, item.parameter.span, help=help)
                continue
            status = self._check_status(item)
            text = " ".join(item.span.text.rstrip("; ").split())
            checks.append(Check(parameter.name, status, text, item.span))
        return tuple(checks)

    def _check_status(self, item: ast.Check) -> int | None:
        if item.status is None:
            return None
        pattern = item.status
        if self._has_no_status(pattern.span, "to return"):
            return None
        if pattern.detail == "*":
            message = "`(*)` names many statuses and one is to be returned"
            self._sink.report("E0509", message, pattern.span)
            return 0
        matches = self._declarations.pattern(pattern, self._conduit.families)
        if not matches:
            return 0
        # The first value, its ignored bits as the family gives them.
        family = next(f for f in self._conduit.families if pattern.name.text in f.codes)
        first = family.codes[pattern.name.text].values[0]
        return matches[0].value | (first & family.ignored)

    # -- delivery

    def delivery(self, items: Iterable[ast.Clause]) -> Delivery | None:
        """The `deliver` clause among `items`, if any."""
        found: Delivery | None = None
        for item in items:
            if not isinstance(item, ast.Deliver):
                continue
            struct = item.struct.text if item.struct else None
            layout = None
            if item.struct is not None:
                check_c_name(item.struct, "a structure", self._sink)
                layout = self._declarations.layout(item.struct, self._scope)
            found = Delivery(item.kind, struct, layout, item.optional, item.span)
        return found

    def keep(self, items: Iterable[ast.Clause], outputs: tuple[Output, ...]) -> frozenset[str]:
        """The outputs that `keep` names, all of them if it names none."""
        names = {output.group for output in outputs}
        in_out = {output.group: output.span for output in outputs if output.in_out}
        layouts = {output.group for output in outputs if isinstance(output.shape, Layout)}
        kept: set[str] = set()
        for item in items:
            if not (isinstance(item, ast.OfOutputs) and item.word == "keep"):
                continue
            if not names:
                self._sink.report("E0606", "there is no output to keep", item.span)
            elif not item.names and names <= in_out.keys() | layouts:
                message = "in/out parameters and layouts are kept anyway, and there is no other"
                self._sink.report("E0606", message, item.span)
            for name in item.names:
                if name.text not in names:
                    message = f"there is no output `{name.text}`"
                    hint = suggest(name.text, self._sink, names)
                    self._sink.report("E0606", message, name.span, help=hint)
                elif name.text in in_out:
                    message = f"{name.text} is read at entry, so it is kept anyway"
                    notes = [("it comes back here", in_out[name.text])]
                    self._sink.report("E0606", message, name.span, notes=notes)
                elif name.text in layouts:
                    message = f"{name.text} is a layout, so it is kept anyway"
                    self._sink.report("E0606", message, name.span)
            kept |= {name.text for name in item.names} & names if item.names else names
        return frozenset(kept)

    def drop(self, items: Iterable[ast.Clause], outputs: tuple[Output, ...]) -> frozenset[str]:
        """The outputs that `drop` names, all of them if it names none."""
        names = {output.group for output in outputs}
        dropped: set[str] = set()
        for item in items:
            if not (isinstance(item, ast.OfOutputs) and item.word == "drop"):
                continue
            if not names:
                self._sink.report("E0608", "there is no output to drop", item.span)
            for name in item.names:
                if name.text not in names:
                    message = f"there is no output `{name.text}`"
                    hint = suggest(name.text, self._sink, names)
                    self._sink.report("E0608", message, name.span, help=hint)
            dropped |= {name.text for name in item.names} & names if item.names else names
        return frozenset(dropped)


def _counts_too_far(parameter: Parameter, parameters: Mapping[str, Parameter]) -> bool:
    """Whether a parameter counts the elements of an array and may exceed them."""
    return any(
        isinstance(other.shape, Array)
        and other.shape.count == parameter.name
        and other.shape.length < parameter.promise.high
        for other in parameters.values()
    )


def report_repeats(items: Iterable[ast.Clause], sink: Diagnostics) -> None:
    """Reports clauses that a leaf or wrapper says twice although once says it all."""
    seen: dict[str, Span] = {}
    for item in items:
        for text, span in _said_once(item):
            first = seen.setdefault(text, span)
            if first is not span:
                notes = [("it is said here already", first)]
                sink.report("E0207", f"`{text}` is said twice", span, notes=notes)


def _said_once(item: ast.Clause) -> list[tuple[str, Span]]:
    """What a clause says that no other clause of the leaf or wrapper may say."""
    text = None
    match item:
        case ast.OfOutputs(word, names, _):
            if names:
                return [(f"{word} {name.text}", name.span) for name in names]
            text = word
        case ast.Flag(word, _):
            text = "effect global" if word == "effect" else word
        case ast.AliasOf():
            text = "alias of"
        case ast.Since():
            text = "since"
        case ast.Deprecated():
            text = "deprecated"
        case ast.Deliver():
            text = "deliver"
        case ast.Allow(register, _):
            text = f"allow {register.text}"
        case ast.Requires(feature, _):
            text = f"requires {feature.text}"
        case ast.Check(parameter, _, _):
            text = f"check {parameter.text}"
    return [] if text is None else [(text, item.span)]
