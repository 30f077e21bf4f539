"""The arguments of a call, from NAME=VALUE as the user wrote them.

Takes a plan and the words; gives what the machine wants: a slot for each argument, and memory
for what pointers lead to. The names are those of the plan's inputs, of the fields of one
(`info.level=1`), of an argument with several inputs (`pages=0x1000,0x2000`), and of pointers to
outputs (`info=NULL`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seamir.diagnostics import Diagnostic, Diagnostics, Note, SeamError
from seamir.emit.contract import promise_words
from seamir.emulate.interpreter import keeps_promise, read_inputs
from seamir.emulate.junk import Junk
from seamir.emulate.machine import DATA_START
from seamir.emulate.script import Memory
from seamir.ir.leaf import Argument, ArgumentKind, Input, Plan
from seamir.model.registers import ALL_BITS, slice_mask
from seamir.model.scope import suggest
from seamir.run.values import Token, Vocabulary, field_of, fits, tokens_of
from seamir.source import Source, Span

NULL = "NULL"
_UNWRITTEN = b"\xa5"  # what memory for outputs holds before the call
_ROOM = 64  # bytes between regions


@dataclass(frozen=True)
class Call:
    """One call as the machine makes it.

    `slots` has the 64 bits of each argument, `regions` the memory that pointers lead to (address
    -> content), `inputs` the 64-bit value of each input; `warnings` say which break a promise.
    """

    slots: Mapping[str, int]
    regions: Mapping[int, bytes]
    inputs: Mapping[str, int]
    warnings: tuple[Diagnostic, ...]


def read_arguments(plan: Plan, words: Sequence[str], vocabulary: Vocabulary) -> Call:
    """The call that the words ask for; raises SeamError with all that is wrong with them.

    Bits of a slot above its type are junk, as the calling convention allows.
    """
    reader = _Reader(plan, words, vocabulary)
    reader.read()
    return reader.call()


class _Reader:
    """Reads the words one by one into `values`, and then makes a Call of them."""

    def __init__(self, plan: Plan, words: Sequence[str], vocabulary: Vocabulary) -> None:
        self._plan = plan
        self._vocabulary = vocabulary
        self._source = Source("arguments", " ".join(words))
        self._words = words
        self._sink = Diagnostics()
        self._inputs = {item.name: item for item in plan.inputs}
        self._arguments = {argument.name: argument for argument in plan.arguments}
        self._values: dict[str, int] = {}  # by input, as wide as its type
        self._nulls: set[str] = set()
        self._given: dict[str, Span] = {}

    # -- words

    def read(self) -> None:
        """Reads all words, then looks for what is missing."""
        start = 0
        for word in self._words:
            self._read_word(start, start + len(word))
            start += len(word) + 1
        self._sink.stop_on_errors()
        self._find_missing()
        self._sink.stop_on_errors()

    def _read_word(self, start: int, end: int) -> None:
        tokens = tokens_of(self._source, start, end)
        name = tokens[0]
        if name.kind != "name" or tokens[1].text != "=":
            span = Span(self._source, start, max(end, start + 1))
            help = "write NAME=VALUE, as in level=1"
            self._sink.report("E0901", f"`{span.text}` names no argument", span, help=help)
            return
        if not self._first_time(name):
            return
        values = tokens[2:]
        if name.text in self._inputs:
            self._read_input(name, self._inputs[name.text], values)
        elif name.text in self._arguments:
            self._read_argument(name, self._arguments[name.text], values)
        elif not self._read_field(name, values):
            self._unknown(name)

    def _first_time(self, name: Token) -> bool:
        if name.text not in self._given:
            self._given[name.text] = name.span
            return True
        self._twice(name, "it has a value already", self._given[name.text])
        return False

    def _twice(self, name: Token, note: str, earlier: Span) -> None:
        message = f"{name.shown} is given twice"
        self._sink.report("E0901", message, name.span, notes=[(note, earlier)])

    def _read_input(self, name: Token, item: Input, values: Sequence[Token]) -> None:
        if values[0].text == NULL and item.offset is not None:
            self._no_null(name, values[0])
            return
        fields = [span for other, span in self._given.items() if self._owner(other) == item.name]
        if fields:
            self._twice(name, "a field of it has a value already", fields[0])
            return
        value = self._value(item, values)
        if value is not None:
            self._values[item.name] = value

    def _value(self, item: Input, values: Sequence[Token]) -> int | None:
        """A value that fits the type of an input."""
        value = self._vocabulary.read(values, "E0901", self._sink)
        if value is None:
            return None
        kind = item.type
        if not fits(value, kind.width, signed=kind.signed):
            self._does_not_fit(values[0], f"{item.name}, {_type_words(item)}")
            return None
        return value & slice_mask(0, kind.width - 1)

    def _does_not_fit(self, token: Token, what: str) -> None:
        self._sink.report("E0904", f"{token.shown} does not fit {what}", token.span)

    def _read_argument(self, name: Token, argument: Argument, values: Sequence[Token]) -> None:
        """A pointer: NULL, or a value for each of several inputs behind it."""
        items = [item for item in self._plan.inputs if item.argument == argument.name]
        if values[0].text == NULL:
            if argument.optional and not items:
                self._nulls.add(argument.name)
            else:
                self._no_null(name, values[0])
            return
        if not items:
            message = f"{name.shown} points to an output, which has no value"
            help = f"leave it out, or write {name.text}={NULL}" if argument.optional else None
            self._sink.report("E0901", message, name.span, help=help or "leave it out")
            return
        parts = _parts(values)
        if len(parts) > len(items):
            span = parts[len(items)][0].span
            message = f"{name.shown} has {len(items)} elements, and here are {len(parts)} values"
            self._sink.report("E0901", message, span)
            return
        if argument.layout is not None and len(parts) == 1:
            self._fill(items, parts[0])
            return
        for item, part in zip(items, parts, strict=False):
            if item.name in self._given and item.name != name.text:
                self._twice(name, "an element has a value already", self._given[item.name])
                return
            value = self._value(item, part)
            if value is not None:
                self._values[item.name] = value
            self._given[item.name] = name.span

    def _fill(self, items: Sequence[Input], part: Sequence[Token]) -> None:
        """One value for all registers of a layout, but for those that have one of their own."""
        value = self._value(items[0], part)
        for item in items:
            if value is not None and item.name not in self._given:
                self._values[item.name] = value

    def _no_null(self, name: Token, null: Token) -> None:
        help = "a pointer may be NULL where its delivery is `optional`"
        self._sink.report("E0904", f"{name.shown} cannot be NULL", null.span, help=help)

    def _read_field(self, name: Token, values: Sequence[Token]) -> bool:
        """A field of an input of a `bits` type; whether there is one of that name."""
        owner, dot, field_name = name.text.rpartition(".")
        item = self._inputs.get(owner) if dot else None
        field = field_of((item.promise, item.type), field_name) if item is not None else None
        if item is None or field is None:
            return False
        if owner in self._given:
            self._twice(name, "all of it has a value already", self._given[owner])
            return True
        value = self._vocabulary.read(values, "E0901", self._sink)
        if value is not None and not fits(value, field.high - field.low + 1, signed=False):
            bits = f"bits {field.high}:{field.low}" if field.high > field.low else "one bit"
            self._does_not_fit(values[0], f"{name.text}, {bits}")
        elif value is not None:
            self._values[owner] = self._values.get(owner, 0) | value << field.low
        return True

    def _owner(self, name: str) -> str:
        """The input of which a name is a field; "" if it is an input itself."""
        owner, dot, _ = name.rpartition(".")
        return owner if dot and name not in self._inputs else ""

    def _unknown(self, name: Token) -> None:
        known = [*self._inputs, *self._arguments]
        fields = [f"{i.name}.{f.name}" for i in self._plan.inputs for f in i.promise.fields]
        help = suggest(name.text, self._sink, known, fields)
        if help is None:
            names = ", ".join(dict.fromkeys(known))
            help = f"they are {names}" if names else "it has none"
        message = f"{self._plan.symbol} has no parameter {name.shown}"
        self._sink.report("E0902", message, name.span, help=help)

    def _is_there(self, item: Input) -> bool:
        """Whether the call has the input: elements behind a run-time count are not read."""
        if item.bound is None:
            return True
        return self._values.get(item.bound.count, 0) > item.bound.index

    def _find_missing(self) -> None:
        missing = [
            item
            for item in self._plan.inputs
            if item.name not in self._values and self._is_there(item)
        ]
        if not missing:
            return
        names = [f"`{item.name}`" for item in missing]
        named = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        message = f"{named} {'has' if len(missing) == 1 else 'have'} no value"
        placed: dict[tuple[str, int], list[Input]] = {}  # elements are from one place, and alike
        for item in missing:
            placed.setdefault((item.argument, item.span.start), []).append(item)
        notes = [Note(_missing_words(items), items[0].span) for items in placed.values()]
        help = "add " + " ".join(f"{item.name}=VALUE" for item in missing)
        raise SeamError([Diagnostic("E0903", message, None, tuple(notes), help)])

    # -- the call

    def call(self) -> Call:
        """What the values read make of the arguments."""
        junk = Junk(0)
        slots: dict[str, int] = {}
        regions: dict[int, bytes] = {}
        start = DATA_START + _ROOM
        for argument in self._plan.arguments:
            if argument.name in self._nulls:
                slots[argument.name] = 0
            elif argument.kind is ArgumentKind.VALUE:
                item = next(i for i in self._plan.inputs if i.argument == argument.name)
                mask = slice_mask(0, item.type.width - 1)
                slots[argument.name] = self._values[item.name] | junk.word() & ALL_BITS & ~mask
            else:
                slots[argument.name] = start
                regions[start] = self._memory(argument)
                start += _ROOM * (2 + len(regions[start]) // _ROOM)
        inputs = read_inputs(self._plan.inputs, slots, Memory(regions))
        return Call(slots, regions, inputs, tuple(self._broken_promises(inputs)))

    def _memory(self, argument: Argument) -> bytes:
        """What a pointer leads to: its inputs, and elsewhere what is to be overwritten.

        Of an array with a run-time count, memory ends behind the last element that is there.
        """
        plan = self._plan
        size = argument.size
        if argument.kind is ArgumentKind.STRUCT and plan.struct is not None:
            size = plan.struct.size
        items = [item for item in plan.inputs if item.argument == argument.name]
        if argument.count is not None:
            items = [item for item in items if item.name in self._values]
            size = max(((item.offset or 0) + item.type.width // 8 for item in items), default=0)
        content = bytearray(_UNWRITTEN * size)
        for item in items:
            width, offset = item.type.width // 8, item.offset or 0
            content[offset : offset + width] = self._values[item.name].to_bytes(width, "little")
        return bytes(content)

    def _broken_promises(self, inputs: Mapping[str, int]) -> list[Diagnostic]:
        checked = {check.input for check in self._plan.checks}
        found = []
        for item in self._plan.inputs:
            if item.name in checked or not self._is_there(item):
                continue
            if keeps_promise(item.promise, inputs[item.name]):
                continue
            given = (s for n, s in self._given.items() if item.name in (n, self._owner(n)))
            span = next(given, None)
            message = f"{item.name} is not what its type promises: {_type_words(item)}"
            help = "the code does not test it; `check` would"
            found.append(Diagnostic("W0901", message, span, (), help))
        return found


def _parts(values: Sequence[Token]) -> list[list[Token]]:
    """Values divided at commas, each with the token that ends it."""
    parts: list[list[Token]] = [[]]
    for token in values:
        if token.text == ",":
            parts[-1].append(Token("end", token.span))
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _missing_words(items: Sequence[Input]) -> str:
    """What values are missing at one place: one input, or elements of the same type."""
    kind, more = _type_words(items[0]), len(items) - 1
    return f"{items[0].name} {f'and {more} more are' if more else 'is'} {kind}"


def _type_words(item: Input) -> str:
    """The type of an input as the leaf names it, with what it promises."""
    promise = promise_words(item.promise)
    words = item.promise.name
    if item.type != item.promise:
        words += f" passed as {item.type.name}"
    return f"{words} ({promise})" if promise else words
