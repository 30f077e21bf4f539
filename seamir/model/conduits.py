"""Checks conduits: the register contract of each way to call, inheritance applied."""

from __future__ import annotations

from dataclasses import dataclass, field

from seamir.model.actions import NOTHING_TO_RETURN, ActionChecker, Caller, Permissions
from seamir.model.declarations import Declarations
from seamir.model.entities import NOWHERE, Bits, Conduit, Edges, Operand, Trap
from seamir.model.expressions import (
    Binary,
    Expression,
    ParameterValue,
    parameters_of,
    possible,
)
from seamir.model.instructions import INSTRUCTIONS, Instruction, parse_code
from seamir.model.names import check_c_name
from seamir.model.places import (
    check_bits,
    expand_registers,
    report_idle_preserves,
    report_overlap,
)
from seamir.model.registers import NEVER_EXPOSED, ONLY_IF_ALLOWED, REGISTERS, slice_mask
from seamir.model.scope import Scope, suggest
from seamir.model.statuses import StatusFamily
from seamir.model.types import Possible
from seamir.model.values import ValueChecker
from seamir.syntax import ast

# An exposure mask, whichever leaf's it is.
_ANY_MASK = Possible.within(
    0, sum(1 << row.number for name, row in REGISTERS.items() if name not in NEVER_EXPOSED)
)


@dataclass
class _Draft:
    """A conduit while its items are read."""

    lineage: tuple[str, ...] = ()
    instruction: Instruction | None = None
    selectors: list[Operand] = field(default_factory=list)
    status: Bits | None = None
    families: tuple[StatusFamily, ...] = ()
    clobbers: set[str] = field(default_factory=set)
    memory: bool = False
    simd: bool = False
    scrub: bool = False
    has_status: bool = True  # False once it says `status none`
    edges: Edges = field(default_factory=lambda: Edges(None, None, ()))
    notes: list[str] = field(default_factory=list)


MAXIMUM_EXTENDS = 64  # conduits between one and the one it is ultimately made from


class ConduitChecker:
    """Checks each conduit once; `conduit` looks one up."""

    def __init__(self, declarations: Declarations, permissions: Permissions) -> None:
        self._declarations = declarations
        self._sink = declarations.sink
        self._permissions = permissions
        self.actions = ActionChecker(declarations, permissions)
        self._done: dict[int, Conduit | None] = {}

    def conduit(self, name: ast.Name, scope: Scope) -> Conduit | None:
        """The conduit of that name in a scope."""
        found = scope.look_up("conduit", name, ast.ConduitItem, self._sink)
        return None if found is None else self.conduit_of_item(*found)

    def conduit_of_item(self, scope: Scope, item: ast.ConduitItem) -> Conduit | None:
        """The conduit that an item defines."""
        # Bases first, in a loop: the chain may be long.
        chain = {id(item): (scope, item)}
        while id(item) not in self._done and item.base is not None:
            found = scope.look_up("conduit", item.base, ast.ConduitItem, self._sink)
            if found is None:
                break
            scope, item = found
            if id(item) in chain:
                message = f"conduit {item.name.text} extends itself"
                self._sink.report("E0211", message, item.name.span)
                self._done[id(item)] = None
                break
            chain[id(item)] = found
        for key, (where, link) in reversed(chain.items()):
            if key not in self._done:
                self._done[key] = self._make(link, where)
        return self._done[next(iter(chain))]

    def _make(self, item: ast.ConduitItem, scope: Scope) -> Conduit | None:
        draft = _Draft()
        if item.base is not None:
            base = self.conduit(item.base, scope)
            if base is None:
                return None
            if len(base.lineage) > MAXIMUM_EXTENDS:
                message = f"conduits extend each other more than {MAXIMUM_EXTENDS} deep"
                self._sink.report("E0105", message, item.name.span)
                return None
            draft = _inherit(base)
        self._read_instruction(item, draft)
        self._read_status(item, draft, scope)
        self._read_selectors(item, draft, scope)
        self._read_clobbers(item, draft)
        draft.notes += [entry.text.value for entry in item.items if isinstance(entry, ast.NoteText)]
        self._read_scrub(item, draft)
        if draft.instruction is None or (draft.status is None and draft.has_status):
            self._report_missing(item, draft)
            return None
        outcomes = [entry for entry in item.items if isinstance(entry, ast.Outcome)]
        caller = Caller(draft.instruction, draft.status, draft.families, scope, is_conduit=True)
        edges = self.actions.edges(outcomes, draft.edges, caller)
        self._check_no_status(item, edges)
        return Conduit(
            name=item.name.text,
            lineage=(item.name.text, *draft.lineage),
            instruction=draft.instruction,
            selectors=tuple(draft.selectors),
            status=draft.status,
            families=draft.families,
            clobbers=frozenset(draft.clobbers),
            clobbers_memory=draft.memory,
            clobbers_simd=draft.simd,
            edges=edges,
            scrub=draft.scrub,
            notes=tuple(draft.notes),
            doc=item.doc,
            span=item.name.span,
        )

    def _report_missing(self, item: ast.ConduitItem, draft: _Draft) -> None:
        """Reports what a conduit lacks; what is there and wrong was reported."""
        name, span = item.name.text, item.name.span
        if draft.instruction is None and not _has(item, ast.Instruction):
            message = f"conduit {name} has no instruction"
            help = 'for example `instruction seamcall "66 0f 01 cf";`'
            self._sink.report("E0404", message, span, help=help)
        if draft.status is None and not _has(item, ast.StatusPlace):
            message = f"conduit {name} does not say where the status is"
            help = "add `status rax in FAMILY;`, or `status none;`"
            self._sink.report("E0404", message, span, help=help)

    def _read_instruction(self, item: ast.ConduitItem, draft: _Draft) -> None:
        said: ast.Instruction | None = None
        for entry in item.items:
            if not isinstance(entry, ast.Instruction):
                continue
            if draft.instruction is not None:
                message = f"the instruction is {draft.instruction.name} already"
                notes = [("it is said here", said.span)] if said is not None else []
                self._sink.report("E0207", message, entry.span, notes=notes)
                continue
            draft.instruction, said = self._instruction(entry), entry

    def _instruction(self, entry: ast.Instruction) -> Instruction | None:
        code = parse_code(entry.code.value)
        if code is None:
            message = "an instruction is 1 to 15 bytes in hexadecimal"
            self._sink.report("E0701", message, entry.code.span, help='such as "66 0f 01 cf"')
            return None
        known = INSTRUCTIONS.get(entry.name.text)
        if known is not None and known.code == code:
            return known
        if code in self._permissions.instructions:
            check_c_name(entry.name, "an instruction", self._sink)
            return Instruction(entry.name.text, code, sets_carry=True, may_fault=True)
        if known is not None:
            message = f"these are not the bytes of {known.name}"
            help: str | None = f"{known.name} is {known.code.hex(' ')}"
            self._sink.report("E0701", message, entry.code.span, help=help)
            return None
        help = suggest(entry.name.text, self._sink, INSTRUCTIONS)
        permission = f"if you trust this file, compile with --allow-instruction {code.hex()}"
        for row in INSTRUCTIONS.values():
            if row.code == code:
                help = f"these are the bytes of {row.name}"
        message = f"`{entry.name.text}` is not an instruction that seamir knows"
        self._sink.report("E0701", message, entry.span, help=help or permission)
        return None

    def _read_status(self, item: ast.ConduitItem, draft: _Draft, scope: Scope) -> None:
        said: ast.StatusPlace | None = None
        for entry in item.items:
            if not isinstance(entry, ast.StatusPlace):
                continue
            if said is not None:
                notes = [("it is said here already", said.span)]
                message = "the place of the status is said twice"
                self._sink.report("E0207", message, entry.span, notes=notes)
            said = entry
            draft.has_status = entry.place is not None
            draft.status = None if entry.place is None else self._place(entry.place)
            found: dict[str, ast.Name] = {}
            for name in entry.families:
                first = found.setdefault(name.text, name)
                if first is not name:
                    notes = [("it is named here already", first.span)]
                    message = f"{name.text} is named twice"
                    self._sink.report("E0207", message, name.span, notes=notes)
            families = [self._declarations.family(name, scope) for name in found.values()]
            draft.families = tuple(family for family in families if family is not None)
            self._check_status_width(entry, draft)

    def _check_no_status(self, item: ast.ConduitItem, edges: Edges) -> None:
        """Reports inherited outcomes that return a status which the conduit gave up."""
        said = [e for e in item.items if isinstance(e, ast.StatusPlace) and e.place is None]
        own = {entry.action.span for entry in item.items if isinstance(entry, ast.Outcome)}
        for action in edges.actions:
            if not said or isinstance(action, Trap) or action.value is None:
                continue
            if action.span not in own:  # those were reported where they are
                message = "there is no status to return where a call does not complete"
                notes = [("it is returned here", action.span)]
                self._sink.report(
                    "E0417", message, said[0].span, notes=notes, help=NOTHING_TO_RETURN
                )

    def _check_status_width(self, item: ast.StatusPlace, draft: _Draft) -> None:
        """Reports families whose statuses have bits that the place of the status lacks."""
        if draft.status is None:
            return
        for name, family in zip(item.families, draft.families, strict=False):
            bits = 0
            for code in family.codes.values():
                for value in code.values:
                    bits |= value
            within = slice_mask(0, draft.status.width - 1)
            for match in family.success or ():
                bits |= match.value if match.mask & within else match.mask
            if bits >> draft.status.width:
                message = f"statuses of {family.name} need more bits than {draft.status} has"
                notes = [("the family is here", family.span)]
                self._sink.report("E0304", message, name.span, notes=notes)

    def _place(self, item: ast.Place) -> Bits | None:
        """The bits of a register that a conduit uses for itself."""
        if item.register.text == ONLY_IF_ALLOWED:
            message = "rbp is the frame pointer of many kernels and debuggers"
            help = "a conduit may clobber it; only a leaf that allows it may use it"
            self._sink.report("E0409", message, item.span, help=help)
            return None
        return check_bits(item, self._declarations)

    def _read_selectors(self, item: ast.ConduitItem, draft: _Draft, scope: Scope) -> None:
        named = {word: ParameterValue(word, Possible.anything()) for word in ("leaf", "version")}
        named["exposed"] = ParameterValue("exposed", _ANY_MASK)
        # Values with leaf or version in them are checked where both are known: at each leaf.
        values = ValueChecker(self._declarations, scope, named, families=draft.families)
        for entry in item.items:
            if not isinstance(entry, ast.Assign):
                continue
            place = self._place(entry.place)
            value = values.check(entry.value)
            if (
                value is not None
                and place is not None
                and not self._may_expose(entry, value, place)
            ):
                value = None
            if value is not None and place is not None and not parameters_of(value):
                values.check_fits(entry.value, value, place)
            if place is None or value is None:
                # Whatever it is, it may select by leaf and version: no errors follow at leaves.
                place = Bits(NOWHERE, 0, 63, entry.span)
                value = Binary("|", named["leaf"], named["version"])
            report_overlap(place, draft.selectors, self._sink)
            since = entry.since.value if entry.since else None
            draft.selectors.append(Operand(place, value, since, entry.doc, entry.span))

    def _may_expose(self, item: ast.Assign, value: Expression, place: Bits) -> bool:
        """Reports an exposure mask that is a part of an expression, or may not fit."""
        if "exposed" not in parameters_of(value):
            return True
        if isinstance(value, ParameterValue):
            if possible(value).high >> place.width == 0:
                return True
            bits = possible(value).high.bit_length()
            message = f"`exposed` has {bits} bits, and {place} has {place.width}"
            self._sink.report("E0416", message, item.value.span)
            return False
        message = "`exposed` is the whole value of its bits"
        help = "put other values into other bits: `rcx[63] = 1; rcx[15:0] = exposed;`"
        self._sink.report("E0416", message, item.value.span, help=help)
        return False

    def _read_scrub(self, item: ast.ConduitItem, draft: _Draft) -> None:
        flags = [entry for entry in item.items if isinstance(entry, ast.Flag)]
        for entry in flags[1:]:
            notes = [("it is said here already", flags[0].span)]
            self._sink.report("E0207", "`scrub` is said twice", entry.span, notes=notes)
        draft.scrub |= bool(flags)

    def _read_clobbers(self, item: ast.ConduitItem, draft: _Draft) -> None:
        for entry in item.items:
            if isinstance(entry, ast.Clobbers):
                draft.clobbers |= set(expand_registers(entry.registers, self._sink))
                draft.memory |= entry.memory
                draft.simd |= entry.simd
        for entry in item.items:
            if isinstance(entry, ast.Preserves):
                preserved = expand_registers(entry.registers, self._sink)
                report_idle_preserves(preserved, draft.clobbers, self._sink)
                draft.clobbers -= set(preserved)


def _has(item: ast.ConduitItem, kind: type[ast.Instruction] | type[ast.StatusPlace]) -> bool:
    return any(isinstance(entry, kind) for entry in item.items)


def _inherit(base: Conduit) -> _Draft:
    return _Draft(
        lineage=base.lineage,
        instruction=base.instruction,
        selectors=list(base.selectors),
        status=base.status,
        families=base.families,
        clobbers=set(base.clobbers),
        memory=base.clobbers_memory,
        simd=base.clobbers_simd,
        scrub=base.scrub,
        has_status=base.status is not None,
        edges=base.edges,
        notes=list(base.notes),
    )
