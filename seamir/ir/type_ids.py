"""The type ids of functions: what an indirect call in C that clang hardened (kCFI) looks for.

Takes a plan, returns the name of its C function type and the id that clang makes of it. The name
is the function type of the generated header, mangled as the Itanium C++ ABI says ("External Names
(a.k.a. Mangling)"): typedefs are looked through, and what was named once is referred to. The id
is the low half of its xxHash64.
"""

from __future__ import annotations

from seamir.diagnostics import Diagnostics
from seamir.ir.leaf import Argument, ArgumentKind, CallSymbol, Plan, Returns
from seamir.model.types import BUILTIN_TYPES, Type
from seamir.targets import Target

_INTEGERS = {"u8": "h", "u16": "t", "u32": "j", "s8": "a", "s16": "s", "s32": "i", "bool": "b"}
_WORDS = {"long": {"u64": "m", "s64": "l"}, "long long": {"u64": "y", "s64": "x"}}
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # of the numbers of substitutions
_NORMALIZED = ".normalized"
_Parts = tuple[str, ...]


def type_id(plan: Plan, target: Target) -> int:
    """The 32 bits before the plan's function that say which C type it has."""
    import xxhash

    return xxhash.xxh64_intdigest(type_name(plan, target).encode()) & 0xFFFF_FFFF


def type_name(plan: Plan, target: Target) -> str:
    """What the id is the hash of, such as "_ZTSFyyPyE" for `u64 f(u64 gpa, u64 *info)`."""
    normalized = "kcfi-normalize" in target.features
    names = _Names(target.c_word, normalized=normalized)
    kinds = [names.returned(plan), *(names.argument(plan, each) for each in plan.arguments)]
    kinds += [] if plan.arguments else ["v"]
    return f"_ZTSF{''.join(kinds)}E" + (_NORMALIZED if normalized else "")


def check_type_ids(plans: tuple[Plan, ...], target: Target, sink: Diagnostics) -> None:
    """Reports functions, defined or called, with the symbol of the type id of another (E0208)."""
    if "kcfi" not in target.features:
        return
    named = {f"__cfi_{plan.symbol}": plan for plan in plans}
    for plan in plans:
        calls = [one for one in plan.edges.actions if isinstance(one, CallSymbol)]
        uses = [(plan.symbol, plan.span), *((call.symbol, call.span) for call in calls)]
        for symbol, span in uses:
            if symbol in named:
                notes = [("the function with the id is here", named[symbol].span)]
                message = (
                    f"{symbol} is the type id of {named[symbol].symbol}, so it cannot be a function"
                )
                sink.report("E0208", message, span, notes=notes)


class _Names:
    """Spells the types of one function from left to right, since later ones refer to earlier.

    A type is its parts from the outside in: ("P", "K", "u64") is a pointer to a constant u64.
    """

    def __init__(self, word: str, *, normalized: bool) -> None:
        self._integers = _by_width() if normalized else _INTEGERS | _WORDS[word]
        self._known: dict[_Parts, str] = {}

    def returned(self, plan: Plan) -> str:
        """The name of what a plan's function returns."""
        if plan.returns in (Returns.NO_STATUS, Returns.NOTHING):
            return "v"
        if plan.returns is Returns.STATUS_AND_VALUE:
            return self._spell((_tag(plan.result_tag),))
        kind = plan.returned.type if plan.returns is Returns.VALUE else BUILTIN_TYPES["u64"]
        return self._spell(self._value(kind))

    def argument(self, plan: Plan, argument: Argument) -> str:
        """The name of an argument's type, an array's as that of a pointer to its elements."""
        if argument.kind is ArgumentKind.STRUCT and plan.struct is not None:
            return self._spell(("P", _tag(plan.struct.name)))
        parts = self._value(argument.type)
        if argument.layout is not None:
            parts = (_tag(argument.layout.name),)
        if argument.kind is ArgumentKind.VALUE:
            return self._spell(parts)
        return self._spell(
            ("P", "K", *parts) if argument.kind is ArgumentKind.IN else ("P", *parts)
        )

    def _value(self, kind: Type) -> _Parts:
        root = BUILTIN_TYPES[kind.c_base].name
        return ("P", "v") if root == "ptr" else (root,)

    def _spell(self, parts: _Parts) -> str:
        first, inner = parts[0], parts[1:]
        if not inner:
            # By width a bool is a u8, and still pointers to them are two types.
            first = self._integers.get(first, first)
            parts = (first,)
        if parts in self._known:
            return self._known[parts]
        name = first + (self._spell(inner) if inner else "")
        if len(name) > 1:  # nothing refers to the built-in types of one letter
            self._known[parts] = _reference(len(self._known))
        return name


def _by_width() -> dict[str, str]:
    """Integers as types of a vendor, named by width and sign: "u3u64"."""
    integers = {name: kind for name, kind in BUILTIN_TYPES.items() if name != "ptr"}
    widths = {name: f"{'i' if kind.signed else 'u'}{kind.width}" for name, kind in integers.items()}
    return {name: f"u{_tag(width)}" for name, width in widths.items()}


def _tag(name: str) -> str:
    return f"{len(name)}{name}"


def _reference(number: int) -> str:
    """How a name refers to the type that came so many after the first: "S_", "S0_", "S1_"..."""
    if number == 0:
        return "S_"
    digits, left = "", number - 1
    while left or not digits:
        left, digit = divmod(left, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return f"S{digits}_"
