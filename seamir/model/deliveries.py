"""Checks that the outputs of a wrapper can be delivered as it says."""

from __future__ import annotations

import re
from dataclasses import replace

from seamir.diagnostics import Diagnostics
from seamir.model.entities import Delivery, Output
from seamir.model.registers import CARRY_FLAG
from seamir.model.types import BUILTIN_TYPES, Layout


def check_delivery(
    delivery: Delivery | None,
    outputs: tuple[Output, ...],
    keep: frozenset[str],
    sink: Diagnostics,
) -> None:
    """Reports deliveries that the outputs do not allow."""
    if delivery is None:
        return
    if not outputs:
        sink.report("E0601", "there is no output to deliver", delivery.span)
    elif delivery.kind == "register":
        _check_register(delivery, outputs, keep, sink)
    elif delivery.kind == "pointers":
        _check_pointers(delivery, outputs, sink)
    elif delivery.layout is not None:
        _check_layout(delivery, delivery.layout, outputs, keep, sink)
    else:
        _check_struct(delivery, outputs, sink)


def _check_register(
    delivery: Delivery, outputs: tuple[Output, ...], keep: frozenset[str], sink: Diagnostics
) -> None:
    first = outputs[0]
    groups = list({output.group: output for output in outputs}.values())
    if len(groups) > 1:
        notes = [("this is the second output", groups[1].span)]
        message = f"a register delivers one output and there are {len(groups)}"
        help = "use `deliver pointers` or `deliver struct`"
        sink.report("E0601", message, delivery.span, notes=notes, help=help)
    elif first.shape is not None:
        notes = [("the output is here", first.span)]
        message = f"{first.group} is several values, and a register delivers one"
        sink.report("E0601", message, delivery.span, notes=notes, help="use `deliver pointers`")
    elif first.test is not None:
        notes = [("the output is here", first.span)]
        message = "a register delivers only outputs without a condition"
        help = "leave out `on`, or use `deliver pointers`"
        sink.report("E0601", message, delivery.span, notes=notes, help=help)
    if delivery.optional or first.optional:
        message = "what is delivered in a register cannot be optional"
        sink.report("E0603", message, delivery.span)
    if keep:
        message = "`keep` needs memory, and the output is delivered in a register"
        sink.report("E0606", message, delivery.span)


def _check_pointers(delivery: Delivery, outputs: tuple[Output, ...], sink: Diagnostics) -> None:
    if delivery.optional and all(output.in_out for output in outputs):
        message = f"{outputs[0].group} is read at entry, so it cannot be optional"
        notes = [("the output is here", outputs[0].span)]
        sink.report("E0603", message, delivery.span, notes=notes)


def _check_struct(delivery: Delivery, outputs: tuple[Output, ...], sink: Diagnostics) -> None:
    if all(isinstance(output.shape, Layout) for output in outputs):
        message = f"{outputs[0].group} is a layout, which is a structure of its own"
        notes = [("the output is here", outputs[0].span)]
        sink.report("E0601", message, delivery.span, notes=notes, help="use `deliver pointers`")
        return
    _check_optional(delivery, outputs, sink)


def share_members(
    outputs: tuple[Output, ...], keep: frozenset[str]
) -> tuple[tuple[Output, ...], frozenset[str]]:
    """What a layout takes: one output a register, and those to keep.

    Outputs that share a register become one, which is the register as it came back: which of
    them it is, the status says.
    """
    taken: dict[str, list[Output]] = {}
    for output in outputs:
        member = output.name if isinstance(output.shape, Layout) else output.place.register
        taken.setdefault(member, []).append(output)
    kept = set(keep)
    merged = []
    for group in taken.values():
        first = group[0]
        if len(group) == 1:
            merged.append(first)
            continue
        # An element of an array is called by a name too: first[1] is first_1 here.
        name = "_or_".join(re.sub(r"\W+", "_", output.name).rstrip("_") for output in group)
        if first.group in keep:
            kept.add(name)
        preload = next((o.preload for o in group if o.preload is not None), None)
        doc = "; or: ".join(output.doc.strip() for output in group if output.doc.strip())
        merged.append(
            replace(
                first,
                name=name,
                group=name,
                offset=0,
                shape=None,
                type=BUILTIN_TYPES["u64"],
                test=None,
                preload=preload,
                doc=doc,
            )
        )
    return tuple(merged), frozenset(kept)


def _check_layout(
    delivery: Delivery,
    layout: Layout,
    outputs: tuple[Output, ...],
    keep: frozenset[str],
    sink: Diagnostics,
) -> None:
    """Each output needs a member for its register, which outputs of one kind may share."""
    seen: dict[str, Output] = {}
    for output in outputs:
        notes = [("the output is here", output.span)]
        help = None
        place = output.place
        if isinstance(output.shape, Layout):
            message = f"{output.group} is a layout, which is a structure of its own"
            help = "use `deliver pointers`"
        elif place.register == CARRY_FLAG:
            message = f"{output.name} is the carry flag, and {layout.name} has registers"
        elif (place.low, place.high) != (0, 63):
            message = (
                f"{output.name} is a part of {place.register}, and {layout.name} has whole ones"
            )
        elif layout.member(place.register) is None:
            message = f"layout {layout.name} has no {place.register}"
        else:
            first = seen.setdefault(place.register, output)
            if first is output:
                continue
            both = f"{output.name} and {first.name} share the member {place.register}"
            read = next((one for one in (first, output) if one.in_out), None)
            if read is not None:
                message = f"{both}, and {read.name} is read there"
            elif (output.group in keep) != (first.group in keep):
                message = f"{both}, so both are kept or none"
            else:
                continue
        sink.report("E0601", message, delivery.span, notes=notes, help=help)
    _check_optional(delivery, outputs, sink)


def _check_optional(delivery: Delivery, outputs: tuple[Output, ...], sink: Diagnostics) -> None:
    """A structure is optional as a whole, and not if it is read at entry."""
    if not delivery.optional and not any(output.optional for output in outputs):
        return
    for output in outputs:
        if output.in_out and not isinstance(output.shape, Layout):
            notes = [("it is read at entry", output.span)]
            message = "a structure with an in/out member cannot be optional"
            sink.report("E0603", message, delivery.span, notes=notes)
        elif output.optional:
            message = f"{output.group} is a member, and only the whole structure can be optional"
            sink.report("E0603", message, output.span)
