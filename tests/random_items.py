"""Random types, status families, layouts and conduits: what random leaves stand on.

Each maker returns a record that knows what leaves need to know, with its text in the language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

ALL = (1 << 64) - 1
GENERAL = (
    *("rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9"),
    *("r10", "r11", "r12", "r13", "r14", "r15"),
)
NEVER_EXPOSED = ("rax", "rcx", "rbp")
INSTRUCTIONS = {"seamcall": "66 0f 01 cf", "tdcall": "66 0f 01 cc", "pvalidate": "f2 0f 01 ff"}
VECTORS = ("#UD", "#GP", "#PF", "#DE", "#CP")
WORDS = "pages of a guest that the module keeps until it is told otherwise".split()


@dataclass(frozen=True)
class Kind:
    """A type of values: what C has, and what it promises of the 64-bit value."""

    name: str
    base: str
    width: int
    signed: bool
    low: int
    high: int
    bits: int  # that may be 1
    constants: tuple[int, ...] = ()
    is_narrow: bool = False  # promises more than its base

    @property
    def mask(self) -> int:
        """The bits of the 64-bit value that may be 1."""
        if self.low < 0:
            return ALL
        found = self.bits & (1 << self.high.bit_length()) - 1
        for constant in self.constants:
            found |= constant
        return found

    @property
    def largest(self) -> int:
        return max(self.high, *self.constants, 0)


@dataclass(frozen=True)
class Code:
    """A status; its details are bits that a pattern may name."""

    name: str
    values: tuple[int, ...]
    has_detail: bool
    is_success: bool


@dataclass(frozen=True)
class Family:
    name: str
    codes: tuple[Code, ...]
    ids: tuple[str, ...]
    says_success: bool


@dataclass(frozen=True)
class Layout:
    name: str
    registers: tuple[str, ...]
    is_extern: bool


@dataclass(frozen=True)
class Conduit:
    """`own` are registers that no operand may be in; `status` is register, low, high."""

    name: str
    instruction: str
    status: tuple[str, int, int] | None
    families: tuple[Family, ...]
    assigned: frozenset[str]
    clobbers: frozenset[str]
    exposes: bool
    has_number: bool
    has_version: bool
    edges: frozenset[str]
    refusal: tuple[int, tuple[Family, ...]] | None = None  # width of the place, and its families

    @property
    def own(self) -> frozenset[str]:
        hidden = NEVER_EXPOSED if self.exposes else ()
        status = (self.status[0],) if self.status else ()
        return self.assigned | {*hidden, *status}

    @property
    def codes(self) -> tuple[Code, ...]:
        return tuple(code for family in self.families for code in family.codes)


@dataclass
class Items:
    """All items so far; `texts` are their lines."""

    texts: list[str] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    constants: dict[str, int] = field(default_factory=dict)
    families: list[Family] = field(default_factory=list)
    narrow: list[Family] = field(default_factory=list)  # of 32 bits
    layouts: list[Layout] = field(default_factory=list)
    conduits: list[Conduit] = field(default_factory=list)


def base_kind(name: str) -> Kind:
    if name == "bool":
        return Kind(name, name, 8, False, 0, 1, 1)
    width = 64 if name == "ptr" else int(name[1:])
    high = 1 << width
    if name[0] == "s":
        return Kind(name, name, width, True, -(high >> 1), (high >> 1) - 1, ALL)
    return Kind(name, name, width, False, 0, high - 1, high - 1)


BASES = tuple(
    base_kind(name) for name in "u8 u16 u32 u64 s8 s16 s32 s64 bool ptr u64 u64 u64".split()
)


def number(value: int, random: Random) -> str:
    """A number as one may write it."""
    if value < 10 or random.random() < 0.2:
        return str(value)
    text = f"{value:x}"
    if len(text) > 8 and random.random() < 0.5:
        text = f"{text[:-8]}_{text[-8:]}"
    return f"0x{text}"


def words(random: Random) -> str:
    chosen = random.choices(WORDS, k=random.randrange(1, 12))
    return " ".join(chosen).capitalize() + random.choice([".", "", " *x* `y` 50 %.", ": <a|b>."])


def documentation(random: Random, indent: str = "") -> str:
    if random.random() < 0.7:
        return ""
    return "".join(f"{indent}/// {words(random)}\n" for _ in range(random.randrange(1, 3)))


class ItemMaker:
    """Makes the items of one description."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._items = Items()
        self._status_number = 0

    def make(self) -> Items:
        random, items = self._random, self._items
        for index in range(random.randrange(2, 6)):
            value = random.choice([0, 1, 7, ALL, 1 << 63, random.getrandbits(64), 0xFFFF])
            self._constant(f"C{index}", number(value, random), value)
        first = items.constants["C0"]
        self._constant("SAME", "C0", first)
        self._constant("SUM", f"(C0 >> 1) + {number(9, random)}", (first >> 1) + 9)
        items.kinds = list(BASES)
        for index in range(random.randrange(3, 9)):
            self._type(f"t{index}")
        for index in range(random.randrange(0, 3)):
            self._bits(f"b{index}")
        for index in range(random.randrange(1, 4)):
            self._layout(f"layout{index}")
        items.families = [self._family("main", 64), self._family("other", 64)]
        items.narrow = [self._family("low", 32)]
        for index in range(random.randrange(2, 5)):
            self._conduit(f"c{index}")
        return items

    def _constant(self, name: str, text: str, value: int) -> None:
        self._items.constants[name] = value
        self._items.texts.append(f"{documentation(self._random)}const {name} = {text};")

    # -- types

    def _type(self, name: str) -> None:
        random, items = self._random, self._items
        base = random.choice([k for k in items.kinds if k.base not in ("bool", "ptr")])
        kind = replace(base, name=name)
        text = f"type {name} = {base.name}"
        how = random.random()
        if base.constants:
            pass
        elif how < 0.3 and not base.signed and base.bits == (1 << base.width) - 1 == base.high:
            low = random.randrange(base.width)
            high = random.randrange(low, base.width)
            bits = (1 << high + 1) - (1 << low)
            kind = replace(kind, bits=bits, high=bits, is_narrow=True)
            text += f"[{high}:{low}]" if high > low or random.random() < 0.5 else f"[{low}]"
        elif how < 0.7 and base.bits & base.bits + 1 == 0 and base.high > base.low:
            low = random.randint(base.low, base.high)
            high = min(base.high, low + random.choice([0, 1, 5, 200, 1 << 20, 1 << 60]))
            if random.random() < 0.5 and base.high >= 0:
                low, high = max(base.low, 0), max(base.low, 0) + min(high - low, base.high)
            high = min(high, base.high)
            bits = base.bits if low < 0 else base.bits & (1 << high.bit_length()) - 1
            kind = replace(kind, low=low, high=high, bits=bits, is_narrow=True)
            text += f" in {low}..{high}"
        elif how < 0.85 and not base.signed:
            fitting = [n for n, v in items.constants.items() if v < 1 << base.width]
            chosen = random.sample(fitting, min(len(fitting), random.randrange(1, 3)))
            chosen = [n for n in chosen if not self._allows(base, items.constants[n])]
            values = {items.constants[n]: n for n in chosen}
            if values and base.is_narrow:
                kind = replace(kind, constants=tuple(values))
                text += "".join(f" | {n}" for n in values.values())
        if random.random() < 0.4:
            text += f' as "{name}_t"'
        items.kinds.append(kind)
        items.texts.append(f"{documentation(random)}{text};")

    @staticmethod
    def _allows(kind: Kind, value: int) -> bool:
        return kind.low <= value <= kind.high and not value & ~kind.bits

    def _bits(self, name: str) -> None:
        random = self._random
        fields, low, bits = [], random.randrange(20), 0
        for index in range(random.randrange(1, 5)):
            high = min(63, low + random.choice([0, 1, 7, 15, 31]))
            fields.append(f"{documentation(random)}    f{index} [{high}:{low}];\n")
            bits |= (1 << high + 1) - (1 << low)
            low = high + 1 + random.choice([0, 0, 3, 9])
            if low > 63:
                break
        random.shuffle(fields)
        spelling = f' as "{name}_t"' if random.random() < 0.5 else ""
        text = f"{documentation(random)}bits {name}{spelling} {{\n{''.join(fields)}}}"
        self._items.texts.append(text)
        kind = Kind(name, "u64", 64, False, 0, bits, bits, is_narrow=bits != ALL)
        self._items.kinds.append(kind)

    def _layout(self, name: str) -> None:
        random = self._random
        count = random.choice([1, 2, 3, 4, 6, 14, 15])
        registers = tuple(random.sample([*GENERAL, "rbp"], count))
        spread = random.choice([1, 1, 2, 8])
        offsets = [8 * place for place in random.sample(range(15 * spread), count)]
        members = ""
        for index, (register, offset) in enumerate(zip(registers, offsets, strict=True)):
            called = f" as m{index}" if random.random() < 0.3 else ""
            members += f"{documentation(random, '    ')}    {register} @{offset}{called};\n"
        is_extern = random.random() < 0.4
        word = " extern" if is_extern else ""
        text = f"{documentation(random)}layout {name}{word} {{\n{members}}}"
        self._items.texts.append(text)
        self._items.layouts.append(Layout(name, registers, is_extern))

    # -- statuses

    def _family(self, name: str, width: int) -> Family:
        """A family whose codes differ in bits that are neither detail nor ignored."""
        random = self._random
        lines, ids = [], tuple(f"{name.upper()}_ID{index}" for index in range(3))
        detail = random.choice([None, (0, 7), (0, 15), (4, 11), (0, 31)] if width == 64 else [None])
        if width == 32:
            detail = random.choice([None, (0, 7), (2, 9)])
        if detail is not None:
            given = [index * 37 + random.randrange(37) for index in range(3)]
            listed = " ".join(f"{i} = {v};" for i, v in zip(ids, given, strict=True))
            text = f"operands {name}_operands {{ {listed} }}"
            self._items.texts.append(f"{documentation(random)}{text}")
            lines.append(f"detail [{detail[1]}:{detail[0]}] of {name}_operands;")
        if random.random() < 0.6:
            place = width - random.randrange(4, 8)
            lines.append(f"ignore [{place}];")
        codes = []
        says_success = name != "other" or random.random() < 0.5
        by_bits = random.random() < 0.6
        top = width - 2
        for index in range(random.randrange(5, 9)):
            has_own = detail is not None and random.random() < 0.15
            sign = random.choice([0, 1, 2, 3]) if index else 0
            values = []
            for _ in range(random.choice([1, 1, 1, 2])):
                self._status_number += 1
                value = sign << top | self._status_number << (40 if width == 64 else 16)
                values.append(value | (1 << detail[0] if has_own and detail else 0))
            is_success = sign == 0 if by_bits else index < 2
            detailed = detail is not None and not has_own
            code = Code(f"{name.upper()}_S{index}", tuple(values), detailed, is_success)
            codes.append(code)
            listed = ", ".join(f"0x{value:x}" for value in values)
            lines.append(f"{documentation(random)}    {code.name} = {listed};")
        if says_success:
            tests = ", ".join(code.name for code in codes[:2])
            lines.append(f"success {f'bits [{width - 1}:{top}] == 0' if by_bits else tests};")
        text = "\n    ".join(lines)
        self._items.texts.append(f"{documentation(random)}statuses {name} {{\n    {text}\n}}")
        return Family(name, tuple(codes), ids if detail else (), says_success)

    # -- conduits

    def _conduit(self, name: str) -> None:
        random, items = self._random, self._items
        own = [c for c in items.conduits if not c.exposes]
        if own and random.random() < 0.3:
            self._extend(name, random.choice(own))
            return
        instruction = random.choice(["seamcall", "seamcall", "tdcall", "pvalidate"])
        exposes = random.random() < 0.25
        lines = [f'instruction {instruction} "{INSTRUCTIONS[instruction]}";']
        status, families = self._status(exposes)
        if status is None:
            lines.append("status none;")
        else:
            place = self.place(*status)
            named = ", ".join(family.name for family in families)
            lines.append(f"status {place}{f' in {named}' if named else ''};")
        assigned, said, has_number, has_version = self._selectors(exposes, instruction)
        lines += said
        clobbers: set[str] = set()
        if random.random() < 0.8:
            listed = random.sample(GENERAL, random.choice([0, 1, 2, 3, 6, 10, 14]))
            lines += [f"clobbers {', '.join(listed)};"] if listed else []
            clobbers |= set(listed)
            lines += [f"clobbers {w};" for w in ("memory", "simd") if random.random() < 0.6]
        edges = set()
        if instruction != "tdcall" and random.random() < 0.6:
            edges.add("carry")
            lines.append(f"on carry {self.action(status, families)};")
        if random.random() < 0.6:
            edges.add("fault")
            lines += self.faults(status, families)
        refusal = None
        if random.random() < (0.5 if exposes else 0.15):
            refusal, said, register = self._refusal(exposes, status, families)
            lines += said
            clobbers.add(register)
        lines += ["scrub;"] if random.random() < 0.1 else []
        lines += [f'note "{words(random)}";'] if random.random() < 0.2 else []
        random.shuffle(lines)
        text = "\n    ".join(lines)
        items.texts.append(f"{documentation(random)}conduit {name} {{\n    {text}\n}}")
        items.conduits.append(
            Conduit(
                name=name,
                instruction=instruction,
                status=status,
                families=families,
                assigned=assigned,
                clobbers=frozenset(clobbers | ({status[0]} if status else set())),
                exposes=exposes,
                has_number=has_number,
                has_version=has_version,
                edges=frozenset(edges),
                refusal=refusal,
            )
        )

    def _extend(self, name: str, base: Conduit) -> None:
        random = self._random
        lines = []
        kept = sorted(base.clobbers - {base.status[0] if base.status else ""})
        preserved = random.sample(kept, min(len(kept), random.randrange(3)))
        if base.refusal is not None:
            preserved = []
        if preserved:
            lines.append(f"preserves {', '.join(preserved)};")
        lines += ["scrub;"] if random.random() < 0.2 else []
        lines += [f'note "{words(random)}";'] if random.random() < 0.3 else []
        more = set()
        if random.random() < 0.3:
            more = set(random.sample(GENERAL, 2)) - set(preserved)
            lines.append(f"clobbers {', '.join(sorted(more))};")
        if "fault" in base.edges and random.random() < 0.3:
            lines += self.faults(base.status, base.families)
        text = " ".join(lines)
        self._items.texts.append(f"conduit {name} extends {base.name} {{ {text} }}")
        clobbers = base.clobbers - set(preserved) | more
        self._items.conduits.append(replace(base, name=name, clobbers=clobbers))

    def _status(self, exposes: bool) -> tuple[tuple[str, int, int] | None, tuple[Family, ...]]:
        random, items = self._random, self._items
        if random.random() < 0.1:
            return None, ()
        choices = ["rax", "rax", "rax", "r10", "rdx", "rbx", "r15"]
        register = random.choice(choices)
        if exposes and random.random() < 0.5:
            register = "r10"
        low, high = 0, 63
        if random.random() < 0.2:
            low = random.choice([0, 32, 16])
            high = low + 31
        if random.random() < 0.08:
            return (register, low, high), ()
        families = items.families if random.random() < 0.6 else items.families[:1]
        if high - low == 31:
            families = items.narrow
        return (register, low, high), tuple(families)

    def _selectors(
        self, exposes: bool, instruction: str
    ) -> tuple[frozenset[str], list[str], bool, bool]:
        random = self._random
        if not exposes and instruction == "pvalidate" and random.random() < 0.5:
            return frozenset(), [], False, False
        if not exposes:
            how = random.randrange(4)
            if how == 0:
                return frozenset({"rax"}), ["rax = leaf;"], True, False
            if how == 1:
                said = ["rax[15:0] = leaf;", "rax[23:16] = version;", "rax[63] = 1;"]
                return frozenset({"rax"}), said, True, True
            if how == 2:
                said = ["rax = 0;", "r10 = 0x55;", "r11[15:0] = leaf;", "r11[41] = 1;"]
                return frozenset({"rax", "r10", "r11"}), said, True, False
            return frozenset({"rax"}), ["rax = 77;"], False, False
        if random.random() < 0.7:
            said = ["rax = 0;", "rcx = exposed;", "r10 = 0;", "r11 = leaf;"]
            return frozenset({"rax", "rcx", "r10", "r11"}), said, True, False
        said = ["r11 = leaf;", "rdx[47:32] = exposed;", "rdx[0] = 1;"]
        return frozenset({"r11", "rdx"}), said, True, False

    def _refusal(
        self, exposes: bool, status: tuple[str, int, int] | None, families: tuple[Family, ...]
    ) -> tuple[tuple[int, tuple[Family, ...]], list[str], str]:
        random = self._random
        taken = status[0] if status else ""
        hidden = ("rcx",) if exposes else ()
        register = random.choice([r for r in GENERAL if r != taken and r not in hidden])
        if taken != "rax" and random.random() < 0.6:
            register = "rax"
        low, high = random.choice([(0, 63), (0, 63), (8, 15), (0, 31), (63, 63)])
        named: tuple[Family, ...] = ()
        value = number(random.getrandbits(high - low + 1), random)
        if low < high and random.random() < 0.1:
            value = f"{value} >> 1"
        if high - low == 63 and random.random() < 0.5:
            named = tuple(self._items.families[:1])
            value = random.choice(named[0].codes).name
        word = f" in {named[0].name}" if named else ""
        refusal = (high - low + 1, named)
        action = self.action(status, families, refusal=refusal)
        return (
            refusal,
            [f"on refused {self.place(register, low, high)}{word} != {value} {action};"],
            register,
        )

    # -- actions

    def faults(
        self, status: tuple[str, int, int] | None, families: Sequence[Family], traps: bool = False
    ) -> list[str]:
        random = self._random
        lines = [
            f"on fault {vector} {self.action(status, families, fault=True, traps=traps)};"
            for vector in random.sample(VECTORS, random.choice([0, 0, 1, 2]))
        ]
        if not lines or random.random() < 0.6:
            lines.append(f"on fault {self.action(status, families, fault=True, traps=traps)};")
        return lines

    def action(
        self,
        status: tuple[str, int, int] | None,
        families: Sequence[Family],
        *,
        fault: bool = False,
        traps: bool = False,
        refusal: tuple[int, tuple[Family, ...]] | None = None,
    ) -> str:
        random = self._random
        kind = random.random()
        if traps or kind < 0.15:
            return "trap"
        if status is None or kind < 0.25:
            return f"call {random.choice(['helper', 'panic'])}"
        width = status[2] - status[1] + 1
        codes = [code.name for family in families for code in family.codes]
        values = [number(random.getrandbits(width), random), "5"]
        values += [random.choice(codes)] * 3 if codes else []
        if fault:
            values += ["trapnr", "trapnr << 8", "(1 << 20) + trapnr", "trapnr | 1 << 16"]
        if refusal is not None and refusal[0] <= width:
            values += ["refusal"] * 3
        value = random.choice(values)
        return f"return {value}" if kind < 0.7 else f"call helper return {value}"

    def place(self, register: str, low: int, high: int) -> str:
        """A place as one writes it."""
        if (low, high) == (0, 63):
            return register
        return f"{register}[{high}:{low}]" if high > low else f"{register}[{low}]"
