"""From plans to an LLVM module: flags, attributes, and one function a plan (see function.py)."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from seamir.ir.flag import uses_rbp
from seamir.ir.inlining import inlining_obstacle
from seamir.ir.leaf import Plan
from seamir.llvm.constraints import escape
from seamir.llvm.debuginfo import DebugInfo
from seamir.llvm.extensions import AttributeGroup, add_module_flag, module_text
from seamir.llvm.function import FunctionWriter
from seamir.source import Source
from seamir.targets import Target, switch_features

ABI_STACK_ALIGNMENT = 16  # bytes, by both calling conventions

_NO_VECTORS = "-mmx,-sse,-sse2,-sse3,-ssse3,-sse4.1,-sse4.2,-avx,-avx2,-x87"
_KERNEL_FEATURES = f"{_NO_VECTORS},+soft-float"
_SLS_FEATURES = "+harden-sls-ret,+harden-sls-ijmp"


def emit_module(
    plans: Sequence[Plan],
    target: Target,
    main: Source,
    debug: str,
    prefixes: Sequence[tuple[str, str]] = (),
    *,
    for_linking: bool = False,
) -> str:
    """The text of an LLVM module with one function a plan.

    `debug` is "full", "directives" (the same for assembly, with no sections) or "none";
    `prefixes` map names of files in it, see `mapped_name`. A module `for_linking` is to be linked
    with those of callers, so that wrappers can be inlined.
    """
    name = escape(main.logical_name or main.name)
    module = ir.Module(name=name, context=ir.Context())
    module.triple = target.triple
    if "ibt" in target.features:
        add_module_flag(module, 8, "cf-protection-branch", 1)
    if target.code_model == "kernel":
        add_module_flag(module, 1, "Code Model", 2)
    if target.stack_alignment != ABI_STACK_ALIGNMENT:
        add_module_flag(module, 1, "override-stack-alignment", target.stack_alignment)
    if for_linking and target.relocation_model == "pic":
        # Without it, what `ld -r` makes of this and of position-independent callers would not be.
        add_module_flag(module, 8, "PIC Level", 2)
    if "kcfi" in target.features:
        # LLVM makes the bytes before functions of these, and in callers for linking the checks.
        add_module_flag(module, 4, "kcfi", 1)
        if target.padding:
            add_module_flag(module, 4, "kcfi-offset", target.padding)
    info = None
    if debug != "none":
        info = DebugInfo(module, main, prefixes, only_directives=debug == "directives")
    without_frame = switch_features(target, ["-frame-pointer"])
    groups = [
        AttributeGroup(number, function_attributes(kind, scrub=scrub))
        for number, (kind, scrub) in enumerate(
            (kind, scrub) for scrub in (False, True) for kind in (target, without_frame)
        )
    ]
    inlinable = AttributeGroup(len(groups), inlinable_attributes(target))
    groups += [inlinable] if for_linking else []
    externals: dict[str, ir.Function] = {}
    for plan in plans:
        # LLVM loses a value in RBP while RBP is the frame pointer.
        group = groups[uses_rbp(plan) + 2 * plan.scrub]
        if for_linking and inlining_obstacle(plan) is None:
            group = inlinable
        FunctionWriter(module, plan, target, group, info, externals, for_linking).write()
    return f'source_filename = "{name}"\n{module_text(module, groups)}'


def function_attributes(target: Target, *, scrub: bool = False) -> list[str]:
    """The attributes of every function for a target, as LLVM spells them.

    With `scrub` each return clears all registers that a caller does not expect back, but for
    those that a value is returned in. ("used-gpr" would leave out what inline assembly changes and
    nobody reads, or reads by a part such as DH.)
    """
    on = target.features
    features = [] if "simd" in on else [_KERNEL_FEATURES]
    features += [_SLS_FEATURES] if "sls" in on else []
    attributes = ["nounwind", "noinline"]
    attributes += ["uwtable"] if target.convention.needs_unwind_tables else []
    attributes += [] if "redzone" in on else ["noredzone"]
    attributes += [] if "simd" in on else ["noimplicitfloat", '"use-soft-float"="true"']
    attributes += ["fn_ret_thunk_extern"] if "rethunk" in on else []
    attributes += _padding(target)
    pointer = "all" if "frame-pointer" in on else "none"
    attributes += [
        f'"frame-pointer"="{pointer}"',
        '"no-jump-tables"="true"',
        '"target-cpu"="x86-64"',
    ]
    if scrub:
        attributes.append('"zero-call-used-regs"="all-gpr"')
    if features:
        attributes.append(f'"target-features"="{",".join(features)}"')
    return attributes


def inlinable_attributes(target: Target) -> list[str]:
    """The attributes of a function that may be inlined into callers for the same target.

    LLVM refuses to inline a function that has a feature which its caller lacks, so there are no
    more than its copies that stay need.
    """
    on = target.features
    features = [] if "simd" in on else [_NO_VECTORS]
    # Of the hardened instructions such a function has returns only, and a thunk has none.
    features += [_SLS_FEATURES] if "sls" in on and "rethunk" not in on else []
    attributes = ["nounwind", "inlinehint"]
    attributes += ["uwtable"] if target.convention.needs_unwind_tables else []
    attributes += [] if "redzone" in on else ["noredzone"]
    attributes += ["fn_ret_thunk_extern"] if "rethunk" in on else []
    # A caller inherits this one. Kernels are compiled so as a whole.
    attributes += [] if "simd" in on else ['"no-jump-tables"="true"']
    attributes += _padding(target)
    pointer = "all" if "frame-pointer" in on else "none"
    attributes += [f'"frame-pointer"="{pointer}"', '"target-cpu"="x86-64"']
    if features:
        attributes.append(f'"target-features"="{",".join(features)}"')
    return attributes


def _padding(target: Target) -> list[str]:
    return [f'"patchable-function-prefix"="{target.padding}"'] if target.padding else []
