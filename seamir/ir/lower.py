"""From a checked wrapper to its plan, for one target."""

from __future__ import annotations

from dataclasses import dataclass

from seamir.diagnostics import Diagnostics
from seamir.ir.leaf import (
    Argument,
    ArgumentKind,
    Check,
    Delivery,
    Documentation,
    Fill,
    Input,
    Load,
    LoadKind,
    Member,
    Plan,
    Returns,
    Struct,
)
from seamir.model.entities import CallSymbol, Edges, Operand, Output, Wrapper
from seamir.model.expressions import ZERO, Binary, Constant, Expression
from seamir.model.leaves import success_of
from seamir.model.registers import ABI_ORDER
from seamir.model.types import BUILTIN_TYPES
from seamir.model.values import substitute
from seamir.model.wrappers import trap_everywhere
from seamir.targets import Target


@dataclass(frozen=True)
class LowerOptions:
    """`deliver` is the delivery of wrappers that name none; `symbol_prefix` precedes symbols."""

    deliver: str = "pointers"
    symbol_prefix: str = ""


def lower(wrapper: Wrapper, target: Target, options: LowerOptions) -> Plan:
    """The plan of a wrapper."""
    return _Lowering(wrapper, target, options).plan()


class _Lowering:
    def __init__(self, wrapper: Wrapper, target: Target, options: LowerOptions) -> None:
        self._wrapper = wrapper
        self._leaf = wrapper.leaf
        self._target = target
        self._symbol = options.symbol_prefix + wrapper.symbol
        self._delivery_kind = self._choose_delivery(options.deliver)
        chosen = wrapper.delivery
        self._optional = chosen is not None and chosen.optional
        self._struct = self._make_struct() if self._delivery_kind == "struct" else None
        self._struct_argument = self._free_name("out")

    def _choose_delivery(self, default: str) -> str:
        """What the wrapper says, else the default where the outputs allow it."""
        wrapper = self._wrapper
        if not wrapper.outputs:
            return "pointers"
        if wrapper.delivery is not None:
            return wrapper.delivery.kind
        outputs = wrapper.outputs
        if default == "register" and not (
            len(outputs) == 1
            and outputs[0].test is None
            and not outputs[0].optional
            and not wrapper.keep
            and self._target.register_pairs
        ):
            return "pointers"
        if default == "struct" and any(output.optional for output in outputs):
            return "pointers"
        return default

    def plan(self) -> Plan:
        leaf, wrapper = self._leaf, self._wrapper
        edges = wrapper.edges
        if "fixup" not in self._target.features:
            edges = Edges(edges.carry, None, ())
        if wrapper.noreturn:
            edges = trap_everywhere(edges, wrapper.span)
        destroyed = set(leaf.clobbers) | {leaf.conduit.status.register}
        destroyed |= {output.place.register for output in wrapper.outputs}
        return Plan(
            symbol=self._symbol,
            leaf=leaf.name,
            number=leaf.number,
            version=leaf.version,
            conduit=leaf.conduit,
            arguments=self._arguments(),
            inputs=self._inputs(),
            checks=self._checks(),
            loads=self._loads(),
            instruction=leaf.conduit.instruction,
            destroyed=frozenset(destroyed),
            destroys_memory=leaf.clobbers_memory,
            destroys_simd=leaf.clobbers_simd,
            edges=edges,
            status=leaf.conduit.status,
            success=success_of(leaf.conduit),
            again=wrapper.again,
            guard=None,
            bound=self._bound(),
            deliveries=tuple(self._delivery(output) for output in wrapper.outputs),
            struct=self._struct,
            returns=self._returns(),
            section=self._target.noinstr_section if wrapper.noinstr else ".text",
            documentation=self._documentation(),
            span=wrapper.span,
        )

    # -- the C function

    def _arguments(self) -> tuple[Argument, ...]:
        in_out = {output.name for output in self._wrapper.outputs if output.in_out}
        arguments = []
        for parameter in self._wrapper.parameters:
            kind = ArgumentKind.VALUE
            if parameter.name in in_out and self._delivery_kind == "pointers":
                kind = ArgumentKind.IN_OUT
            if parameter.name in in_out and self._delivery_kind == "struct":
                continue
            arguments.append(
                Argument(parameter.name, kind, parameter.type, False, parameter.doc, parameter.span)
            )
        if self._struct is not None:
            place = self._wrapper.outputs[0].span
            doc = "takes the outputs"
            u64 = BUILTIN_TYPES["u64"]
            name = self._struct_argument
            arguments.append(Argument(name, ArgumentKind.STRUCT, u64, self._optional, doc, place))
        if self._delivery_kind == "pointers":
            arguments += [
                Argument(
                    output.name,
                    ArgumentKind.OUT,
                    output.type,
                    self._optional or output.optional,
                    output.doc,
                    output.span,
                )
                for output in self._wrapper.outputs
                if not output.in_out
            ]
        return tuple(arguments)

    def _inputs(self) -> tuple[Input, ...]:
        members = {m.name: m.offset for m in self._struct.members} if self._struct else {}
        in_out = {output.name for output in self._wrapper.outputs if output.in_out}
        inputs = []
        for parameter in self._wrapper.parameters:
            argument, offset = parameter.name, None
            if parameter.name in in_out and self._delivery_kind == "pointers":
                offset = 0
            elif parameter.name in in_out and self._struct is not None:
                argument, offset = self._struct_argument, members[parameter.name]
            inputs.append(
                Input(
                    parameter.name,
                    parameter.type,
                    parameter.promise,
                    argument,
                    offset,
                    parameter.span,
                )
            )
        return tuple(inputs)

    def _free_name(self, wanted: str) -> str:
        names = {parameter.name for parameter in self._wrapper.parameters}
        while wanted in names:
            wanted += "_"
        return wanted

    def _make_struct(self) -> Struct:
        chosen = self._wrapper.delivery
        name = chosen.struct if chosen is not None and chosen.struct else f"{self._symbol}_outputs"
        offset, alignment, members = 0, 1, []
        types = {p.name: p.type for p in self._wrapper.parameters}
        for output in self._wrapper.outputs:
            kind = types[output.name] if output.in_out else output.type
            size = kind.width // 8
            offset = -(-offset // size) * size
            members.append(Member(output.name, kind, offset))
            offset += size
            alignment = max(alignment, size)
        size = -(-offset // alignment) * alignment
        return Struct(name, tuple(members), size, alignment)

    def _checks(self) -> tuple[Check, ...]:
        promises = {p.name: p.promise for p in self._wrapper.parameters}
        return tuple(
            Check(check.parameter, promises[check.parameter], check.status, check.text, check.span)
            for check in self._wrapper.checks
        )

    def _returns(self) -> Returns:
        if self._wrapper.noreturn:
            return Returns.NOTHING
        if self._delivery_kind == "register":
            return Returns.STATUS_AND_VALUE
        return Returns.STATUS

    # -- the call

    def _loads(self) -> tuple[Load, ...]:
        leaf, conduit = self._leaf, self._leaf.conduit
        named = {"leaf": leaf.number or 0, "version": leaf.version}
        selectors = [
            Operand(o.place, substitute(o.value, named), o.since, o.doc, o.span)
            for o in conduit.selectors
        ]
        loads = _gather(selectors, LoadKind.SELECTOR)
        loads += _gather(list(self._wrapper.operands), LoadKind.OPERAND)
        preloads = {o.place.register: o for o in self._wrapper.outputs if o.preload is not None}
        for register, output in preloads.items():
            assert output.preload is not None
            value = Constant(output.preload)
            fill = Fill(0, 63, value, None, "", output.span)
            loads.append(Load(register, LoadKind.PRELOAD, value, (fill,), output.span))
        return tuple(sorted(loads, key=lambda load: ABI_ORDER[load.register]))

    def _bound(self) -> int:
        bound = 1
        for clause in self._wrapper.again:
            bound *= clause.attempts + 1
        return bound

    def _delivery(self, output: Output) -> Delivery:
        argument: str | None = output.name
        offset = 0
        if self._struct is not None:
            argument = self._struct_argument
            offset = next(m.offset for m in self._struct.members if m.name == output.name)
        elif self._delivery_kind == "register":
            argument = None
        types = {p.name: p.type for p in self._wrapper.parameters}
        in_memory = argument is not None
        return Delivery(
            name=output.name,
            type=types[output.name] if output.in_out else output.type,
            place=output.place,
            test=output.test,
            keep=in_memory and (output.in_out or output.name in self._wrapper.keep),
            argument=argument,
            offset=offset,
            optional=in_memory and not output.in_out and (self._optional or output.optional),
            doc=output.doc,
            span=output.span,
        )

    def _documentation(self) -> Documentation:
        leaf = self._leaf
        return Documentation(
            doc=self._wrapper.doc,
            notes=leaf.conduit.notes + self._wrapper.notes,
            effect=leaf.effect,
            since=leaf.since,
            requires=leaf.requires,
            deprecated=self._wrapper.deprecated,
        )


def _gather(operands: list[Operand], kind: LoadKind) -> list[Load]:
    """One load a register, from the operands that fill parts of it."""
    fills: dict[str, list[Fill]] = {}
    for operand in operands:
        place = operand.place
        fill = Fill(place.low, place.high, operand.value, operand.since, operand.doc, operand.span)
        fills.setdefault(place.register, []).append(fill)
    return [
        Load(register, kind, _join(parts), tuple(parts), parts[0].span)
        for register, parts in fills.items()
    ]


def _join(fills: list[Fill]) -> Expression:
    """The register's value: each fill shifted into its place."""
    value: Expression = ZERO
    for fill in fills:
        part = fill.value if fill.low == 0 else Binary("<<", fill.value, Constant(fill.low))
        value = part if value is ZERO else Binary("|", value, part)
    return value


def check_structs(plans: tuple[Plan, ...], sink: Diagnostics) -> None:
    """Reports structures that share a name and differ in members."""
    seen: dict[str, Plan] = {}
    for plan in plans:
        if plan.struct is None:
            continue
        first = seen.setdefault(plan.struct.name, plan)
        if first.struct != plan.struct:
            notes = [("the other is here", first.span)]
            message = f"two structures would be called {plan.struct.name}"
            sink.report("E0611", message, plan.span, notes=notes)


def check_calls(plans: tuple[Plan, ...], sink: Diagnostics) -> None:
    """Reports calls of functions that this very compilation defines, prefixes included."""
    defined = {plan.symbol: plan for plan in plans}
    for plan in plans:
        edges = plan.edges
        for action in (edges.carry, edges.fault, *(action for _, action in edges.vectors)):
            if isinstance(action, CallSymbol) and action.symbol in defined:
                notes = [("it is defined here", defined[action.symbol].span)]
                message = f"{action.symbol} is a function of this compilation and cannot be called"
                sink.report("E0208", message, action.span, notes=notes)
