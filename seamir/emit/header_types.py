"""The types of a header: typedefs, structures, what it assumes of the compiler, bit accessors.

Takes the plans of the header, returns blocks of lines; every name at file scope goes through
Names. Only types that the C compiler sees are defined.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from seamir.diagnostics import Diagnostics
from seamir.emit.c_names import (
    Kind,
    Names,
    accessor_stem,
    c_base,
    c_type,
    declare,
)
from seamir.emit.contract import (
    member_words,
    output_rows,
    promise_words,
    register_words,
    show_bits,
)
from seamir.emit.text import COLUMNS, block_comment, paragraphs, plain, sentence, wrap
from seamir.ir.leaf import ArgumentKind, Delivery, Plan, Returns, Struct
from seamir.model.registers import slice_mask
from seamir.model.types import Field, Type

ASSERT = "SEAMIR_ASSERT"


def visible_types(plans: Sequence[Plan]) -> list[Type]:
    """The types of arguments, members and returned values, each once, in order of first use."""
    found: dict[Type, None] = {}
    for plan in plans:
        for kind in _types_of(plan):
            found.setdefault(kind)
    return list(found)


def _types_of(plan: Plan) -> Iterator[Type]:
    for argument in plan.arguments:
        if argument.kind is not ArgumentKind.STRUCT and argument.layout is None:
            yield argument.type
    if plan.struct is not None:
        yield from (member.type for member in plan.struct.members)
    if plan.returns in (Returns.STATUS_AND_VALUE, Returns.VALUE):
        yield from (delivery.type for delivery in plan.deliveries)


# -- typedefs


def described_types(plans: Sequence[Plan]) -> list[str]:
    """A comment that says what each type means and promises, for all types that say something."""
    kinds: dict[Type, None] = {}
    for plan in plans:
        promises = {item.name: item.promise for item in plan.inputs}
        for argument in plan.arguments:
            kinds.setdefault(promises.pop(argument.name, argument.type))
        for kind in (*promises.values(), *_types_of(plan)):
            kinds.setdefault(kind)
    lines: list[str] = []
    for kind in kinds:
        said = sentence(" ".join(paragraphs(kind.doc)))
        promise = promise_words(kind)
        if kind.base is None or kind.fields or not (said or promise):
            continue
        head = f"- {kind.name} ({c_type(kind)})" + (f", {promise}" if promise else "")
        lines += wrap(f"{head}: {said}" if said else f"{head}.", "", "  ")
    title = ["Types, and what the caller promises of their values:"]
    return block_comment([title, lines]) if lines else []


def typedefs(kinds: Iterable[Type], names: Names) -> list[str]:
    """A typedef for each C name."""
    lines: list[str] = []
    for kind in kinds:
        if kind.c_name is None:
            continue
        base = c_base(kind)
        what = f"type {kind.name} (a {base})"
        if names.take(kind.c_name, Kind.TYPE, what, kind.span, meaning=base):
            lines.append(f"typedef {declare(base, kind.c_name)};")
    return lines


# -- assumptions


def assumptions(plans: Sequence[Plan], kinds: Iterable[Type]) -> list[str]:
    """Static asserts of what the machine code relies on: sizes, and offsets of members."""
    lines = [f'{ASSERT}(sizeof(void *) == 8, "size of a pointer");']
    sizes = {c_base(kind): kind.width // 8 for kind in kinds} | {"u64": 8}
    for spelling, size in sorted(sizes.items()):
        if not spelling.endswith("*"):
            lines.append(f'{ASSERT}(sizeof({spelling}) == {size}, "size of {spelling}");')
    return ["/* What the machine code relies on. */", *lines]


def layout_assert(tag: str, size: int, members: Iterable[tuple[str, int]]) -> list[str]:
    """A static assert of a structure's layout; sizes and offsets are in bytes."""
    offsets = [f"__builtin_offsetof(struct {tag}, {name}) == {at}" for name, at in members]
    terms = " &&\n\t      ".join([f"sizeof(struct {tag}) == {size}", *offsets])
    return f'{ASSERT}({terms},\n\t      "layout of struct {tag}");'.split("\n")


# -- structures


def structures(plans: Sequence[Plan], names: Names, sink: Diagnostics) -> list[list[str]]:
    """Definitions of the structures that take outputs or are returned, one block each."""
    users: dict[str, list[Plan]] = {}
    for plan in plans:
        if plan.struct is not None:
            users.setdefault(plan.struct.name, []).append(plan)
    blocks = [_structure(group, names, sink) for group in users.values()]
    results = [plan for plan in plans if plan.returns is Returns.STATUS_AND_VALUE]
    return [*blocks, *(_result(plan, names) for plan in results)]


def _layout(struct: Struct) -> tuple[object, ...]:
    members = tuple(
        (m.name, c_type(m.type), m.type.width, m.offset, *([m.length] if m.length else []))
        for m in struct.members
    )
    return struct.size, struct.alignment, members


def _structure(users: Sequence[Plan], names: Names, sink: Diagnostics) -> list[str]:
    """The structure of the first of its users; it is an error if another has another layout."""
    first, struct = users[0], users[0].struct
    assert struct is not None
    for plan in users:
        if plan.struct is not None and _layout(plan.struct) != _layout(struct):
            notes = [("the other layout is here", first.span)]
            both = f"of {first.symbol} and of {plan.symbol}"
            message = f"struct {struct.name} would have two layouts, {both}"
            help = "give one of them another name: deliver struct NAME"
            sink.report("E0611", message, plan.span, notes=notes, help=help)
    names.take(struct.name, Kind.TAG, f"struct {struct.name}", first.span)
    functions = ", ".join(f"{plan.symbol}()" for plan in users)
    members = []
    for member in struct.members:
        names.take(member.name, Kind.LOCAL, f"member {member.name}", first.span, "member")
        spelling = f"{member.name}[{member.length}]" if member.length else member.name
        members.append((c_type(member.type), spelling, _member_doc(users, member.name)))
    lines = define_structure(struct.name, f"outputs of {functions}", members)
    offsets = [(member.name, member.offset) for member in struct.members]
    lines += ["", *layout_assert(struct.name, struct.size, offsets)]
    what = f"struct {struct.name}"
    return names.once(f"STRUCT_{struct.name}", _layout(struct), what, first.span, lines)


def _member_doc(users: Sequence[Plan], name: str) -> str:
    """Where the member comes from and when it counts; function by function where they differ."""
    said: dict[str, list[str]] = {}
    for plan in users:
        group = [delivery for delivery in plan.deliveries if delivery.group == name]
        said.setdefault(_output_doc(plan, group), []).append(f"{plan.symbol}()")
    if len(said) == 1:
        return next(iter(said))
    return ". ".join(f"{', '.join(symbols)}: {text}" for text, symbols in said.items())


def _output_doc(plan: Plan, group: Sequence[Delivery]) -> str:
    """The registers of an output, what it is, and when it counts."""
    delivery = group[0]
    rows = [row for row in output_rows(plan) if row.group == delivery.group]
    row, places = rows[0], register_words([row.place for row in rows])
    doc = " ".join(paragraphs(delivery.doc) or paragraphs(delivery.type.doc)[:1])
    words = [part for part in (doc.removesuffix("."), member_words(row)) if part]
    way = f"in/out {places}" if row.in_out else places
    return way + (f" - {'; '.join(words)}" if words else "")


def _result(plan: Plan, names: Names) -> list[str]:
    tag = plan.result_tag
    names.take(tag, Kind.TAG, f"the structure that {plan.symbol} returns", plan.span)
    delivery = plan.returned
    value = f"{plain(delivery.name)}, {_output_doc(plan, [delivery])}"
    members = [
        ("u64", "status", f"status, {plan.status}"),
        (c_type(delivery.type), "value", value),
    ]
    lines = define_structure(tag, f"what {plan.symbol}() returns", members)
    return [*lines, "", *layout_assert(tag, 16, (("status", 0), ("value", 8)))]


def define_structure(tag: str, summary: str, members: list[tuple[str, str, str]]) -> list[str]:
    """A structure and its kernel-doc; members are C type, name (arrays with length) and doc."""
    names = [name.partition("[")[0] for _, name, _ in members]
    width = max(len(name) for name in names) + 3
    block = wrap(f"struct {tag} - {summary}")
    for name, (_, _, doc) in zip(names, members, strict=True):
        first = f"@{name}:".ljust(width)
        block += wrap(doc, first, " " * width)
    body = [f"\t{declare(spelling, name)};" for spelling, name, _ in members]
    return [*block_comment([block], "/**"), f"struct {tag} {{", *body, "};"]


# -- accessors of bits types


def accessors(plans: Sequence[Plan], kinds: Iterable[Type], names: Names) -> list[list[str]]:
    """Shifts, masks and getters of every `bits` type in use; setters of those that go in."""
    inward = {_with_own_fields(item.type) for plan in plans for item in plan.inputs}
    blocks: list[list[str]] = []
    for kind in dict.fromkeys(_with_own_fields(kind) for kind in kinds if kind.fields):
        blocks.append(_getters_of(kind, names))
        if kind in inward:
            blocks.append(_setters_of(kind, names))
    return blocks


def _with_own_fields(kind: Type) -> Type:
    """The type that the fields were defined for; types made from it have them too."""
    base = kind.base
    return kind if base is None or not base.fields else _with_own_fields(base)


def _getters_of(kind: Type, names: Names) -> list[str]:
    stem = accessor_stem(kind)
    doc = paragraphs(kind.doc)
    title = f"Bits of {c_type(kind)}" if kind.c_name else f"Bits of {kind.name}, a {c_type(kind)}"
    fields: list[str] = []
    for field in kind.fields:
        said = " ".join(paragraphs(field.doc))
        place = show_bits(field.name, field.low, field.high)
        fields += wrap(f"- {place}" + (f": {said}" if said else ""), "", "  ")
    words = wrap(sentence(f"{title}: {doc[0]}" if doc else title))
    lines = [*block_comment([words, fields]), *_field_macros(kind, stem, names)]
    for field in kind.fields:
        lines += ["", *_getter(kind, field, stem, names)]
    what = f"the bits of {c_type(kind)}"
    return names.once(f"BITS_{stem}", _bits(kind), what, kind.fields[0].span, lines)


def _setters_of(kind: Type, names: Names) -> list[str]:
    # Another header may have the getters alone.
    stem = accessor_stem(kind)
    lines: list[str] = []
    for field in kind.fields:
        lines += [*([""] if lines else []), *_setter(kind, field, stem, names)]
    what = f"the setters of {c_type(kind)}"
    return names.once(f"SETTERS_{stem}", _bits(kind), what, kind.fields[0].span, lines)


def _bits(kind: Type) -> object:
    return [c_type(kind), [(field.name, field.low, field.high) for field in kind.fields]]


def _field_macros(kind: Type, stem: str, names: Names) -> list[str]:
    rows: list[tuple[str, str]] = []
    for field in kind.fields:
        mask = slice_mask(field.low, field.high)
        for suffix, text in (("SHIFT", str(field.low)), ("MASK", f"{mask:#018x}ULL")):
            macro = f"{stem}_{field.name}_{suffix}".upper()
            names.take(macro, Kind.MACRO, f"the macro of {kind.name}.{field.name}", field.span)
            rows.append((macro, text))
    stop = tab_stop(macro for macro, _ in rows)
    return [define(macro, text, stop) for macro, text in rows]


def _getter(kind: Type, field: Field, stem: str, names: Names) -> list[str]:
    getter = f"{stem}_{field.name}"
    names.take(getter, Kind.FUNCTION, f"the accessor of {kind.name}.{field.name}", field.span)
    shift, mask = (f"{stem}_{field.name}_{part}".upper() for part in ("SHIFT", "MASK"))
    word = declare(c_type(kind), "word")
    return [
        *_inline_head("u64", f"{getter}({word})"),
        "{",
        *_statement(f"\treturn (word & {mask}) >>", f"{shift};"),
        "}",
    ]


def _setter(kind: Type, field: Field, stem: str, names: Names) -> list[str]:
    setter = f"{stem}_set_{field.name}"
    names.take(setter, Kind.FUNCTION, f"the accessor of {kind.name}.{field.name}", field.span)
    shift, mask = (f"{stem}_{field.name}_{part}".upper() for part in ("SHIFT", "MASK"))
    spelling = c_type(kind)
    word = declare(spelling, "word")
    return [
        *_inline_head(spelling, f"{setter}({word}, u64 field)"),
        "{",
        f"\tword &= ~{mask};",
        f"\tfield <<= {shift};",
        f"\treturn word | (field & {mask});",
        "}",
    ]


def _inline_head(returns: str, rest: str) -> list[str]:
    """The head of an inline function, the returned type on a line of its own if it is long."""
    line = f"static inline {declare(returns, rest)}"
    return [line] if len(line) <= COLUMNS else [f"static inline {returns}", rest]


def _statement(start: str, rest: str) -> list[str]:
    """A return statement, broken after its operator if it is long."""
    line = f"{start} {rest}"
    return [line] if len(line.expandtabs(8)) <= COLUMNS else [start, f"\t       {rest}"]


# -- layout of macros


def tab_stop(macros: Iterable[str]) -> int:
    """The column, a multiple of 8, at which the values of macros line up."""
    longest = max((len(macro) for macro in macros), default=0)
    return (len("#define ") + longest) // 8 * 8 + 8


def define(macro: str, text: str, stop: int) -> str:
    """A `#define` with its value at column `stop`."""
    used = len("#define ") + len(macro)
    tabs = max(1, -(-(stop - used) // 8))
    return f"#define {macro}" + "\t" * tabs + text
