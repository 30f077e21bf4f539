"""Random leaves: operands of all shapes in as many registers as there are, outputs from any."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from random_clauses import ClauseMaker, Leaf, Output, Parameter
from random_items import (
    BASES,
    GENERAL,
    ItemMaker,
    Items,
    Kind,
    Layout,
    documentation,
    number,
)

OUTPUT_BASES = [kind for kind in BASES if kind.name != "ptr"]


class LeafMaker(ClauseMaker):
    """Makes one leaf."""

    def __init__(
        self, random: Random, items: Items, makers: ItemMaker, index: int, earlier: Sequence[Leaf]
    ) -> None:
        conduit = random.choice(items.conduits)
        name = random.choice([f"F{index}", f"Made.Up.F{index}", f"MODULE.F{index}"])
        super().__init__(random, items, makers, Leaf(name, conduit))
        self._index = index
        self._earlier = earlier
        self._lines: list[str] = []
        self._free: list[str] = []

    def make(self) -> Leaf:
        random, leaf, conduit = self._random, self._leaf, self._leaf.conduit
        leaf.codes = list(conduit.codes)
        random.shuffle(leaf.codes)
        allows_rbp = not conduit.exposes and random.random() < 0.15
        lines = ["allow rbp;"] if allows_rbp else []
        head = f"leaf {leaf.name}"
        alias = ""
        if conduit.has_number:
            same = [e for e in self._earlier if e.conduit is conduit and e.version == ""]
            leaf.number = 100 + self._index
            if same and random.random() < 0.15:
                leaf.number, alias = same[0].number, f"alias of {same[0].name};"
            head += f" = {number(leaf.number or 0, random)}"
        if conduit.has_version and not alias and random.random() < 0.6:
            leaf.version = str(random.randrange(1, 256))
            if random.random() < 0.5:
                fitting = [k for k in self._items.kinds if not k.signed and k.mask < 256]
                fitting = [k for k in fitting if k.base != "ptr"]
                leaf.version = "v"
                leaf.parameters.append(Parameter("v", random.choice(fitting)))
            head += f" version {leaf.version}"
        self._free = [r for r in (*GENERAL, "rbp") if r not in conduit.own]
        if not allows_rbp:
            self._free.remove("rbp") if "rbp" in self._free else None
        random.shuffle(self._free)
        count = random.choice([0, 1, 2, 3, 4, 6, 8, 11, 14, 14])
        self._operands(self._free[:count])
        leaf.noreturn = random.random() < 0.06
        if not leaf.noreturn:
            self._outputs(allows_rbp)
        lines += self._lines
        lines += [self.check(name, leaf.noreturn) for name in sorted(leaf.checks)]
        lines += self.outcomes(leaf.noreturn)
        if not leaf.noreturn:
            lines += self.again_clauses(300)
        lines += self.facts()
        lines += self._registers(allows_rbp)
        lines += ["noreturn;"] if leaf.noreturn else []
        lines += [alias] if alias else []
        lines += ["effect global;"] if random.random() < 0.1 else []
        lines += ['since "1.5.05";'] if random.random() < 0.1 else []
        lines += ["requires TDX_CONNECT;"] if random.random() < 0.1 else []
        pure = [o for o in leaf.outputs if not o.in_out and not isinstance(o.shape, Layout)]
        if pure and random.random() < 0.2:
            leaf.keeps = True
            lines.append(f"keep {random.choice(pure).name};")
        if random.random() < 0.3:
            leaf.delivery = self.deliver(leaf.outputs, f"d{self._index}", leaf.keeps)
            lines += [leaf.delivery] if leaf.delivery else []
        self._write(head, lines)
        return leaf

    def _write(self, head: str, lines: Sequence[str]) -> None:
        random, leaf = self._random, self._leaf
        texts = [p.text or f"{p.name}: {p.kind.name}" for p in leaf.parameters]
        parameters = ", ".join(f"{documentation(random)}{text}" for text in texts if text.strip())
        outputs = ",\n    ".join(self._returned) if leaf.outputs else ""
        arrow = f" -> (\n    {outputs}\n)" if outputs else ""
        body = "".join(f"    {line}\n" for line in lines)
        leaf.text = (
            f"{documentation(random)}{head} via {leaf.conduit.name} ({parameters}){arrow} "
            f"{{\n{body}}}"
        )

    # -- operands

    def _operands(self, registers: Sequence[str]) -> None:
        random, leaf = self._random, self._leaf
        rest = list(registers)
        while rest:
            how = random.random()
            if how < 0.15:
                self._array(rest)
            elif how < 0.35:
                self._layout(rest)
            elif how < 0.6:
                self._packed(rest.pop())
            else:
                self._whole(rest.pop())
        if random.random() < 0.3:
            version = [p for p in leaf.parameters if p.name == "v"]
            others = leaf.parameters[len(version) :]
            groups = self._groups(others)
            random.shuffle(groups)
            leaf.parameters[len(version) :] = [p for group in groups for p in group]

    @staticmethod
    def _groups(parameters: Sequence[Parameter]) -> list[list[Parameter]]:
        """Parameters with those that have to stand before them."""
        counts = {p.count for p in parameters if p.count}
        groups: list[list[Parameter]] = []
        for parameter in parameters:
            if parameter.count and groups and groups[-1][-1].name == parameter.count:
                groups[-1].append(parameter)
            else:
                groups.append([parameter])
        assert len(counts) <= len(parameters)
        return groups

    def _assign(self, place: tuple[str, int, int], value: str) -> None:
        self._leaf.operands.append((*place, value))
        self._line(self._makers.place(*place), value)

    def _line(self, place: str, value: str) -> None:
        random = self._random
        since = ' since "1.5.16"' if random.random() < 0.05 else ""
        self._lines.append(f"{documentation(random)}{place} = {value}{since};")

    def _new_scalar(self, kinds: Sequence[Kind] | None = None) -> Parameter:
        random, leaf = self._random, self._leaf
        kind = random.choice(kinds or self._items.kinds)
        parameter = Parameter(f"a{len(leaf.parameters)}", kind)
        leaf.parameters.append(parameter)
        if kind.is_narrow and random.random() < 0.25:
            leaf.checks.add(parameter.name)
        return parameter

    def _whole(self, register: str) -> None:
        random, leaf = self._random, self._leaf
        first = None
        if random.random() < 0.8:
            first = self._new_scalar()
        self._assign((register, 0, 63), self.value(leaf.scalars, 64, first))

    def _packed(self, register: str) -> None:
        random, leaf = self._random, self._leaf
        low = random.choice([0, 0, 1, 8])
        while low < 64:
            high = min(63, low + random.choice([0, 2, 7, 8, 15, 31, 40]))
            width = high - low + 1
            fitting = [k for k in self._items.kinds if k.mask.bit_length() <= width]
            first = self._new_scalar(fitting) if fitting and random.random() < 0.7 else None
            scalars = [p for p in leaf.scalars if p.kind.mask.bit_length() <= width]
            self._assign((register, low, high), self.value(scalars, width, first))
            low = high + 1 + random.choice([0, 0, 1, 12, 64])

    def _list(self, registers: Sequence[str]) -> str:
        """A list of registers, as braces or as a range."""
        names = {f"r{n}": n for n in range(8, 16)}
        numbers = [names.get(register, -9) for register in registers]
        ranges = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        if len(registers) > 1 and ranges and numbers[0] > 0:
            text = f"{registers[0]}..{registers[-1]}"
            return text if self._random.random() < 0.7 else f"{{{text}}}"
        return f"{{{', '.join(registers)}}}"

    def _array(self, rest: list[str]) -> None:
        random, leaf = self._random, self._leaf
        length = min(len(rest), random.choice([1, 2, 3, 4, 8, 12]))
        taken, rest[:] = rest[:length], rest[length:]
        if random.random() < 0.5:
            taken.sort(key=lambda r: (len(r), r))
        name = f"a{len(leaf.parameters)}"
        kind = random.choice(self._items.kinds)
        otherwise, brackets, count = "", str(length), None
        if random.random() < 0.5:
            counting = [
                k
                for k in self._items.kinds
                if not k.signed and k.largest <= length and k.base not in ("bool", "ptr")
            ]
            if counting and random.random() < 0.4:
                count = self._new_scalar(counting).name
                name = f"a{len(leaf.parameters)}"
            else:
                count = f"n{len(leaf.parameters)}"
                counter = Kind("", "u64", 64, False, 0, length, (1 << length.bit_length()) - 1)
                leaf.parameters.append(Parameter(count, counter, text=" "))
                name = f"a{len(leaf.parameters)}"
                leaf.checks.add(count)
            brackets = f"{count} <= {length}"
            otherwise = f" else {self.constant()}" if random.random() < 0.5 else ""
        text = f"{name}: {kind.name}[{brackets}]"
        leaf.parameters.append(Parameter(name, kind, length, count, text))
        leaf.operands += [(register, 0, 63, name) for register in taken]
        leaf.shared |= set(taken)
        self._line(self._list(taken), f"{name}{otherwise}")

    def _layout(self, rest: list[str]) -> None:
        random, leaf = self._random, self._leaf
        layout = random.choice(self._items.layouts)
        fitting = [r for r in layout.registers if r in rest]
        if not fitting:
            return
        taken = random.sample(fitting, random.choice([1, len(fitting), len(fitting)]))
        rest[:] = [r for r in rest if r not in taken]
        name = f"a{len(leaf.parameters)}"
        kind = next(k for k in BASES if k.name == "u64")
        text = f"{name}: {layout.name}"
        leaf.parameters.append(Parameter(name, kind, layout, None, text))
        leaf.operands += [(register, 0, 63, name) for register in taken]
        leaf.shared |= set(taken)
        self._line(self._list(taken), name)

    # -- outputs

    def _outputs(self, allows_rbp: bool) -> None:
        random, conduit = self._random, self._leaf.conduit
        self._returned: list[str] = []
        status = conduit.status[0] if conduit.status else ""
        usable = [r for r in GENERAL if r != status]
        usable += ["rbp"] if allows_rbp else []
        if conduit.exposes:
            usable = [r for r in usable if r not in ("rcx", "rbp")]
        self._preloads: dict[str, str] = {}
        for _ in range(random.choice([0, 1, 1, 1, 2, 3, 5, 8, 14])):
            self._output(usable, status)

    def _output(self, usable: Sequence[str], status: str) -> None:
        random, leaf = self._random, self._leaf
        name = f"o{len(leaf.outputs)}"
        how = random.random()
        used = {output.name for output in leaf.outputs}
        back = [p for p in leaf.parameters if p.name not in used and not p.count and p.text != " "]
        back = [p for p in back if p.name != "v" or leaf.version != "v"]
        back = [p for p in back if isinstance(p.shape, Layout) or p.kind.base != "ptr"]
        if how < 0.25 and back:
            parameter = random.choice(back)
            output, place = self._in_out(parameter, usable)
        elif how < 0.4:
            output, place = self._several(name, usable)
        elif how < 0.5 and leaf.conduit.instruction != "tdcall":
            output = Output(name, random.choice(OUTPUT_BASES), ("carry",), is_carry=True)
            output.whole, place = False, "carry"
            if "carry" in leaf.conduit.edges:
                return
        else:
            output, place = self._single(name, random.choice(self._output_kinds()), usable, status)
        if not place:
            return
        if leaf.conduit.status is not None and random.random() < 0.4:
            condition = self.condition()
            output.has_condition = bool(condition)
            place += condition
        place += self._preload(output)
        if not output.in_out and random.random() < 0.15:
            output.optional = True
            place += " optional"
        written = f": {output.kind.name}" if not output.in_out else ""
        if isinstance(output.shape, Layout):
            written = f": {output.shape.name}" if not output.in_out else ""
        elif output.shape is not None and written:
            written += f"[{output.shape}]"
        leaf.outputs.append(output)
        self._returned.append(f"{documentation(random)}{output.name}{written} = {place}")

    def _output_kinds(self) -> list[Kind]:
        return [kind for kind in self._items.kinds if kind.base != "ptr"]

    def _single(
        self, name: str, kind: Kind, usable: Sequence[str], status: str
    ) -> tuple[Output, str]:
        random = self._random
        register, low, high = random.choice(usable), 0, 63
        if kind.base == "bool":
            low = high = random.randrange(64)
        elif random.random() < 0.4:
            low = random.randrange(64)
            high = min(63, low + random.randrange(kind.width))
        if (
            status
            and random.random() < 0.15
            and not (status == "rcx" and self._leaf.conduit.exposes)
        ):
            register = status
            if (low, high) == (0, 63):
                low = random.randrange(1, 64)
                high = min(63, low + random.randrange(kind.width))
        whole = (low, high) == (0, 63)
        output = Output(name, kind, (register,), whole=whole, slice_width=high - low + 1)
        return output, self._makers.place(register, low, high)

    def _in_out(self, parameter: Parameter, usable: Sequence[str]) -> tuple[Output, str]:
        if parameter.shape is None:
            output, place = self._single(parameter.name, parameter.kind, usable, "")
        elif isinstance(parameter.shape, Layout):
            output, place = self._layout_back(parameter.name, parameter.shape, usable)
        else:
            output, place = self._array_back(
                parameter.name, parameter.kind, parameter.shape, usable
            )
        output.in_out = True
        return output, place

    def _several(self, name: str, usable: Sequence[str]) -> tuple[Output, str]:
        random = self._random
        if random.random() < 0.5:
            return self._layout_back(name, random.choice(self._items.layouts), usable)
        kinds = [kind for kind in self._output_kinds() if kind.base != "bool"]
        length = random.choice([1, 2, 3, 4, 8, 12])
        return self._array_back(name, random.choice(kinds), length, usable)

    def _layout_back(self, name: str, layout: Layout, usable: Sequence[str]) -> tuple[Output, str]:
        fitting = [register for register in layout.registers if register in usable]
        kind = next(k for k in BASES if k.name == "u64")
        if not fitting:
            return Output(name, kind, (), layout), ""
        count = self._random.choice([1, len(fitting), len(fitting)])
        registers = tuple(self._random.sample(fitting, count))
        return Output(name, kind, registers, layout), self._list(registers)

    def _array_back(
        self, name: str, kind: Kind, length: int, usable: Sequence[str]
    ) -> tuple[Output, str]:
        if length > len(usable) or kind.base == "bool":
            return Output(name, kind, (), length), ""
        registers = tuple(self._random.sample(list(usable), length))
        return Output(name, kind, registers, length), self._list(registers)

    def _preload(self, output: Output) -> str:
        random, leaf = self._random, self._leaf
        taken = {register for register, *_ in leaf.operands} | leaf.conduit.assigned
        hidden = ("rax", "rcx", "rbp") if leaf.conduit.exposes else ()
        if output.is_carry or random.random() < 0.6:
            return ""
        if any(r in taken or r in hidden for r in output.registers):
            return ""
        if any(r in self._preloads for r in output.registers):
            return ""
        value = self.constant()
        self._preloads |= dict.fromkeys(output.registers, value)
        output.has_preload = True
        return f" else {value}"

    # -- registers

    def _registers(self, allows_rbp: bool) -> list[str]:
        """`clobbers` and `preserves`, and the word about RBP that some leaves have to say."""
        random, leaf = self._random, self._leaf
        returned = {r for output in leaf.outputs for r in output.registers} - {"carry"}
        clobbers = set(leaf.conduit.clobbers)
        more: list[str] = []
        lines = []
        if random.random() < 0.2:
            more = random.sample(GENERAL, random.choice([1, 2, 5]))
            if leaf.conduit.exposes:
                more = [r for r in more if r != "rcx"]
            clobbers |= set(more)
            lines += [f"clobbers {', '.join(more)};"] if more else []
        changed = clobbers | returned
        rbp = ""
        if changed | {"rax"} >= set(GENERAL) and not leaf.conduit.exposes and "rbp" not in returned:
            rbp = random.choice(["clobbers", "clobbers", "preserves"])
        elif random.random() < 0.1:
            rbp = "clobbers"
        if rbp:
            lines.append(f"{rbp} rbp;")
        if random.random() < 0.1 and not leaf.conduit.exposes:
            own = {leaf.conduit.status[0]} if leaf.conduit.status else set()
            kept = sorted(leaf.conduit.clobbers - returned - own - set(more))
            if kept and leaf.conduit.refusal is None and not rbp:
                lines.append(f"preserves {random.choice(kept)};")
        return lines
