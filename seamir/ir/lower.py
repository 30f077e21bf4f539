"""From a checked wrapper to its plan, for one target."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seamir.diagnostics import Diagnostics
from seamir.ir.leaf import (
    Argument,
    ArgumentKind,
    Bound,
    Check,
    Delivery,
    Documentation,
    Fallback,
    Fill,
    Input,
    Load,
    LoadKind,
    Member,
    Plan,
    Returns,
    Struct,
    show_action,
)
from seamir.model.entities import Array, CallSymbol, Edges, Operand, Output, Wrapper
from seamir.model.expressions import ZERO, Binary, Constant, Expression, parameters_of
from seamir.model.instructions import FAULT_VECTORS
from seamir.model.leaves import selector_values
from seamir.model.outputs import success_of
from seamir.model.registers import ABI_ORDER, CARRY_FLAG
from seamir.model.shapes import exposed_registers
from seamir.model.types import BUILTIN_TYPES, Layout, Type
from seamir.model.wrappers import trap_everywhere
from seamir.source import Span
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
        is_struct = self._delivery_kind == "struct"
        self._layout = chosen.layout if is_struct and chosen is not None else None
        self._struct = self._make_struct() if is_struct and self._layout is None else None
        self._struct_argument = self._free_name("out")

    def _choose_delivery(self, default: str) -> str:
        """What the wrapper says, else the default where the outputs allow it."""
        wrapper = self._wrapper
        if not wrapper.outputs:
            return "pointers"
        if wrapper.delivery is not None:
            kind = wrapper.delivery.kind
            return "pointers" if kind == "register" and not self._returns_pairs() else kind
        outputs = wrapper.outputs
        if default == "register" and not (
            len(outputs) == 1
            and outputs[0].shape is None
            and outputs[0].test is None
            and not outputs[0].optional
            and not wrapper.keep
            and self._returns_pairs()
        ):
            return "pointers"
        if default == "struct" and (
            any(output.optional for output in outputs)
            or all(isinstance(output.shape, Layout) for output in outputs)
        ):
            return "pointers"
        return default

    def _returns_pairs(self) -> bool:
        """Whether status and value, where there are both, fit the registers of a return."""
        return self._target.convention.register_pairs or self._leaf.conduit.status is None

    def _fallbacks(self) -> tuple[Fallback, ...]:
        """Where the target cannot do what the wrapper says; its conduit speaks for any target."""
        wrapper, conduit, target = self._wrapper, self._leaf.conduit, self._target
        found = []
        chosen = wrapper.delivery
        if chosen is not None and chosen.kind != self._delivery_kind:
            reason = f"{target.convention.name} returns one word in registers"
            said, instead = f"deliver {chosen.kind}", f"deliver {self._delivery_kind}"
            found.append(Fallback(said, instead, reason, chosen.span))
        if "fixup" not in target.features:
            names = {vector: name for name, vector in FAULT_VECTORS.items()}
            own = [
                (f"on fault {names.get(vector, vector)}", action)
                for vector, action in wrapper.edges.vectors
                if (vector, action) not in conduit.edges.vectors
            ]
            if wrapper.edges.fault not in (None, conduit.edges.fault):
                own.append(("on fault", wrapper.edges.fault))
            reason = f"target {target.name} is used without a fixup table"
            for where, action in own:
                said = f"{where} {show_action(action)}"
                found.append(Fallback(said, "faults are not caught", reason, action.span))
        return tuple(found)

    def plan(self) -> Plan:
        leaf, wrapper = self._leaf, self._wrapper
        conduit = leaf.conduit
        edges = wrapper.edges
        if "fixup" not in self._target.features:
            edges = replace(edges, fault=None, vectors=())
        if wrapper.noreturn:
            edges = trap_everywhere(edges, wrapper.span)
        exposed = None
        if conduit.exposes:
            places = tuple(output.place for output in leaf.outputs)
            exposed = exposed_registers(conduit, leaf.operands, places)
        return Plan(
            symbol=self._symbol,
            leaf=leaf.name,
            number=leaf.number,
            version=leaf.version,
            version_parameter=leaf.version_parameter,
            conduit=conduit,
            arguments=self._arguments(),
            inputs=self._inputs(),
            checks=self._checks(),
            loads=self._loads(exposed),
            instruction=conduit.instruction,
            destroyed=self._destroyed(edges),
            destroys_memory=leaf.clobbers_memory,
            destroys_simd=leaf.clobbers_simd,
            exposed=exposed,
            scrub=wrapper.scrub,
            edges=edges,
            status=conduit.status,
            success=success_of(conduit),
            again=wrapper.again,
            guard=None,
            bound=self._bound(),
            deliveries=tuple(self._delivery(output) for output in wrapper.outputs),
            struct=self._struct,
            returns=self._returns(),
            section=self._target.noinstr_section if wrapper.noinstr else ".text",
            documentation=self._documentation(),
            span=wrapper.span,
            fallbacks=self._fallbacks(),
        )

    def _destroyed(self, edges: Edges) -> frozenset[str]:
        """What the other side may change, also where the wrapper drops it, and the edges read."""
        destroyed = set(self._leaf.clobbers)
        destroyed |= {output.place.register for output in self._leaf.outputs} - {CARRY_FLAG}
        if self._leaf.conduit.status is not None:
            destroyed.add(self._leaf.conduit.status.register)
        if edges.refused is not None:
            destroyed.add(edges.refused.place.register)
        return frozenset(destroyed)

    # -- the C function

    def _arguments(self) -> tuple[Argument, ...]:
        returned = {output.group: output for output in self._wrapper.outputs if output.in_out}
        arguments = []
        for parameter in self._wrapper.parameters:
            name = parameter.name
            if name in returned and self._in_structure(returned[name]):
                continue
            kind = ArgumentKind.VALUE if parameter.shape is None else ArgumentKind.IN
            if name in returned and (
                self._delivery_kind == "pointers" or isinstance(parameter.shape, Layout)
            ):
                kind = ArgumentKind.IN_OUT
            arguments.append(
                _argument(
                    name, kind, parameter.type, parameter.shape, parameter.doc, parameter.span
                )
            )
        own = {output.group: output for output in self._wrapper.outputs if not output.in_out}
        arguments += [
            replace(
                _argument(
                    name, ArgumentKind.OUT, output.type, output.shape, output.doc, output.span
                ),
                optional=self._optional or output.optional,
            )
            for name, output in own.items()
            if self._delivery_kind == "pointers" or isinstance(output.shape, Layout)
        ]
        if self._delivery_kind == "struct":
            arguments.append(self._structure_argument())
        return tuple(arguments)

    def _in_structure(self, output: Output) -> bool:
        """Whether the output is a member of the structure that takes the outputs."""
        return self._delivery_kind == "struct" and not isinstance(output.shape, Layout)

    def _structure_argument(self) -> Argument:
        members = [output for output in self._wrapper.outputs if self._in_structure(output)]
        place, doc, u64 = members[0].span, "takes the outputs", BUILTIN_TYPES["u64"]
        name, optional = self._struct_argument, self._optional
        if self._layout is None:
            return Argument(name, ArgumentKind.STRUCT, u64, optional, doc, place)
        is_read = any(output.in_out for output in members)
        kind = ArgumentKind.IN_OUT if is_read else ArgumentKind.OUT
        return Argument(name, kind, u64, optional, doc, place, layout=self._layout)

    def _inputs(self) -> tuple[Input, ...]:
        returned = {output.name: output for output in self._wrapper.outputs if output.in_out}
        readers = {
            name: operand
            for operand in self._wrapper.operands
            for name in parameters_of(operand.value)
        }
        inputs = []
        for parameter in self._wrapper.parameters:
            count = parameter.shape.count if isinstance(parameter.shape, Array) else None
            for index, element in enumerate(parameter.elements):
                argument: str = parameter.name
                offset = None if parameter.shape is None else element.offset
                output = returned.get(element.name)
                if output is not None and self._in_structure(output):
                    argument, offset = self._struct_argument, self._member_offset(output)
                elif output is not None and self._delivery_kind == "pointers":
                    offset = element.offset
                span, bound = parameter.span, None
                if parameter.shape is not None:
                    if element.name not in readers:
                        continue  # a wrapper fixed its register: it is not read
                    span = readers[element.name].span
                if count is not None:
                    bound = Bound(count, index, readers[element.name].otherwise)
                inputs.append(
                    Input(
                        element.name,
                        parameter.type,
                        parameter.promise,
                        argument,
                        offset,
                        span,
                        bound,
                    )
                )
        return tuple(inputs)

    def _free_name(self, wanted: str) -> str:
        names = {parameter.name for parameter in self._wrapper.parameters}
        names |= {o.group for o in self._wrapper.outputs if isinstance(o.shape, Layout)}
        while wanted in names:
            wanted += "_"
        return wanted

    def _make_struct(self) -> Struct:
        chosen = self._wrapper.delivery
        name = chosen.struct if chosen is not None and chosen.struct else f"{self._symbol}_outputs"
        offset, alignment, members = 0, 1, []
        groups = {o.group: o for o in self._wrapper.outputs if self._in_structure(o)}
        for group, output in groups.items():
            kind = self._type_of(output)
            size = kind.width // 8
            length = output.shape.length if isinstance(output.shape, Array) else None
            offset = -(-offset // size) * size
            members.append(Member(group, kind, offset, length))
            offset += size * (length or 1)
            alignment = max(alignment, size)
        size = -(-offset // alignment) * alignment
        return Struct(name, tuple(members), size, alignment)

    def _type_of(self, output: Output) -> Type:
        """The type of an output; that of the parameter that it replaces, if it does."""
        types = {parameter.name: parameter.type for parameter in self._wrapper.parameters}
        return types[output.group] if output.in_out else output.type

    def _member_offset(self, output: Output) -> int:
        """Bytes from the start of the structure that takes the outputs."""
        if self._layout is not None:
            member = self._layout.member(output.place.register)
            assert member is not None  # the model sees to it
            return member.offset
        assert self._struct is not None
        start = next(m.offset for m in self._struct.members if m.name == output.group)
        return start + output.offset

    def _checks(self) -> tuple[Check, ...]:
        promises = {p.name: p.promise for p in self._wrapper.parameters}
        return tuple(
            Check(check.parameter, promises[check.parameter], check.status, check.text, check.span)
            for check in self._wrapper.checks
        )

    def _returns(self) -> Returns:
        if self._wrapper.noreturn:
            return Returns.NOTHING
        has_status = self._leaf.conduit.status is not None
        if self._delivery_kind == "register":
            return Returns.STATUS_AND_VALUE if has_status else Returns.VALUE
        return Returns.STATUS if has_status else Returns.NO_STATUS

    # -- the call

    def _loads(self, exposed: frozenset[str] | None) -> tuple[Load, ...]:
        leaf = self._leaf
        selectors = [
            replace(operand, value=value)
            for operand, value in zip(leaf.conduit.selectors, selector_values(leaf), strict=True)
        ]
        loads = _gather(selectors, LoadKind.SELECTOR)
        loads += _gather(list(self._wrapper.operands), LoadKind.OPERAND)
        preloads = {o.place.register: o for o in self._wrapper.outputs if o.preload is not None}
        for register, output in preloads.items():
            assert output.preload is not None
            value = Constant(output.preload)
            loads.append(_constant_load(register, LoadKind.PRELOAD, value, output.span))
        loaded = {load.register for load in loads}
        for register in sorted((exposed or frozenset()) - loaded):
            loads.append(_constant_load(register, LoadKind.ZERO, ZERO, leaf.span))
        return tuple(sorted(loads, key=lambda load: ABI_ORDER[load.register]))

    def _bound(self) -> int:
        bound = 1
        for clause in self._wrapper.again:
            bound *= clause.attempts + 1
        return bound

    def _delivery(self, output: Output) -> Delivery:
        argument: str | None = output.group
        offset, kind = output.offset, self._type_of(output)
        if self._in_structure(output):
            argument, offset = self._struct_argument, self._member_offset(output)
            kind = kind if self._layout is None else BUILTIN_TYPES["u64"]
        elif self._delivery_kind == "register" and not isinstance(output.shape, Layout):
            argument = None
        in_memory = argument is not None
        is_kept = output.in_out or output.group in self._wrapper.keep
        is_optional = self._optional or output.optional
        return Delivery(
            name=output.name,
            type=kind,
            place=output.place,
            test=output.test,
            keep=in_memory and (is_kept or isinstance(output.shape, Layout)),
            argument=argument,
            offset=offset,
            optional=in_memory and not output.in_out and is_optional,
            doc=output.doc,
            span=output.span,
            group=output.group,
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
            alias_of=leaf.alias_of,
        )


def _argument(
    name: str, kind: ArgumentKind, type_: Type, shape: Array | Layout | None, doc: str, span: Span
) -> Argument:
    """An argument that is no structure of outputs."""
    if isinstance(shape, Layout):
        return Argument(name, kind, type_, False, doc, span, layout=shape)
    length, count = (shape.length, shape.count) if shape is not None else (None, None)
    return Argument(name, kind, type_, False, doc, span, length, count)


def _constant_load(register: str, kind: LoadKind, value: Constant, span: Span) -> Load:
    return Load(register, kind, value, (Fill(0, 63, value, None, "", span),), span)


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


def check_fallbacks(plans: tuple[Plan, ...], sink: Diagnostics) -> None:
    """Reports what the target cannot do, where nothing else will do."""
    for plan in plans:
        for fallback in plan.fallbacks:
            message = f"`{fallback.said}` is not possible: {fallback.reason}"
            help = f"a compilation of the whole file makes do: {fallback.instead}"
            sink.report("E0810", message, fallback.span, help=help)


def check_calls(plans: tuple[Plan, ...], sink: Diagnostics) -> None:
    """Reports calls of functions that this very compilation defines, prefixes included."""
    defined = {plan.symbol: plan for plan in plans}
    for plan in plans:
        for action in plan.edges.actions:
            if isinstance(action, CallSymbol) and action.symbol in defined:
                notes = [("it is defined here", defined[action.symbol].span)]
                message = f"{action.symbol} is a function of this compilation and cannot be called"
                sink.report("E0208", message, action.span, notes=notes)
