"""Plans built by hand with types, statuses and documentation, for tests of what shows them.

Each function makes a fresh plan of one kind: `simple` passes a handle, `removal` packs two values
and retries, `export` resumes and has an in/out argument, `structured` and `paired` deliver in a
structure and in registers, `fatal` never returns, `described` has a `bits` type.
"""

from __future__ import annotations

from dataclasses import replace

from seamir.ir.leaf import (
    Again,
    Argument,
    ArgumentKind,
    Bits,
    CallSymbol,
    CarryRegister,
    Check,
    Delivery,
    Documentation,
    Edges,
    Fill,
    Input,
    Load,
    LoadKind,
    Member,
    Plan,
    Returns,
    ReturnValue,
    SetBits,
    Struct,
    Trap,
)
from seamir.model.entities import Conduit
from seamir.model.expressions import Binary, Constant, Expression, ParameterValue, TrapNumber
from seamir.model.instructions import INSTRUCTIONS
from seamir.model.registers import ALL_BITS, slice_mask
from seamir.model.statuses import Match, OperandIds, StatusCode, StatusFamily, StatusTest
from seamir.model.types import BUILTIN_TYPES, Field, Type, possible_of
from seamir.source import Source, Span

SOURCE = Source("tests/made_up.seam", "a description, made up for tests\n", "made_up.seam")
SPAN = Span(SOURCE, 2, 13)
U16, U32, U64, S32, BOOL = (BUILTIN_TYPES[name] for name in ("u16", "u32", "u64", "s32", "bool"))


# -- types


def address(name: str, c_name: str | None, doc: str = "") -> Type:
    """A type of 4K-aligned addresses: bits 51:12."""
    bits = slice_mask(12, 51)
    possible = possible_of(0, bits, bits)
    return Type(name, 64, False, "u64", possible, 0, bits, bits, (), c_name, (), U64, doc, SPAN)


def ranged(name: str, base: Type, low: int, high: int, doc: str = "") -> Type:
    """An integer type with a range, made from a built-in one."""
    return replace(
        base,
        name=name,
        possible=possible_of(low, high, base.bits),
        low=low,
        high=high,
        base=base,
        doc=doc,
        span=SPAN,
    )


def bit_fields(name: str, c_name: str | None, *fields: Field, doc: str = "") -> Type:
    """A `bits` type."""
    mask = sum(slice_mask(field.low, field.high) for field in fields)
    possible = possible_of(0, mask, mask)
    return Type(name, 64, False, "u64", possible, 0, mask, mask, (), c_name, fields, U64, doc, SPAN)


HPA = address("hpa", "hpa_t", "Host-physical address of a 4K page.")
GPA = address("gpa", "gpa_t", "Guest-physical address of a 4K page.")
LEVEL = ranged("sept_level", U32, 0, 4, "Level of an entry: 0 = 4K. Not enum pg_level.")
INFO = bit_fields(
    "sept_info",
    "tdx_sept_info_t",
    Field("level", 0, 2, "as sept_level", SPAN),
    Field("state", 8, 15, "", SPAN),
    doc="Where a Secure EPT walk ended.",
)


# -- statuses and conduits


def code(name: str, *values: int, doc: str = "") -> StatusCode:
    """A status code or operand id."""
    return StatusCode(name, values, doc, SPAN)


def operand_ids(name: str, *codes: StatusCode, doc: str = "") -> OperandIds:
    """Operand ids of those codes."""
    return OperandIds(name, {c.name: c for c in codes}, doc, SPAN)


SUCCESS = (Match(0xC000000000000000, 0),)
OPERAND_IDS = operand_ids(
    "tdx_operand_id", code("RCX", 1), code("SEPT_TREE", 0x92), doc="What the detail bits name."
)


def family(
    name: str,
    *codes: StatusCode,
    success: tuple[Match, ...] | None = SUCCESS,
    detail: int = 0xFFFFFFFF,
    operands: OperandIds | None = OPERAND_IDS,
    doc: str = "",
) -> StatusFamily:
    """A status family of those codes."""
    return StatusFamily(
        name, {c.name: c for c in codes}, detail, 0, operands, 0, success, doc, SPAN
    )


STATUSES = family(
    "tdx_status",
    code("TDX_SUCCESS", 0),
    code("TDX_OPERAND_BUSY", 0x8000020000000000, doc="Somebody else holds a lock."),
    code("TDX_RND_NO_ENTROPY", 0x8000020300000000),
    code("TDX_INTERRUPTED_RESUMABLE", 0x8000000300000000),
    code("TDX_NON_RECOVERABLE_TD", 0x6000000200000000, 0x4000000200000000),
    doc="What the TDX module returns.",
)
SOFTWARE = family(
    "tdx_sw",
    code("TDX_SW_ERROR", 0x8000FF0000000000),
    code("TDX_SEAMCALL_VMFAILINVALID", 0x8000FF00FFFF0000),
    success=None,
    detail=0,
    operands=None,
    doc="What Linux adds.",
)
CARRY = ReturnValue(Constant(0x8000FF00FFFF0000, "TDX_SEAMCALL_VMFAILINVALID"), SPAN)
FAULT = ReturnValue(Binary("|", Constant(0x8000FF0000000000, "TDX_SW_ERROR"), TrapNumber()), SPAN)

SEAMCALL = Conduit(
    name="seamcall",
    lineage=("seamcall", "seam"),
    instruction=INSTRUCTIONS["seamcall"],
    selectors=(),
    status=Bits("rax", 0, 63, SPAN),
    families=(STATUSES, SOFTWARE),
    clobbers=frozenset({"rax", "rcx", "rdx", "r8", "r9", "r10", "r11"}),
    clobbers_memory=True,
    clobbers_simd=False,
    edges=Edges(CARRY, FAULT, ()),
    scrub=False,
    notes=("preemption off",),
    doc="A call of the TDX module.",
    span=SPAN,
)
TDCALL = replace(
    SEAMCALL,
    name="tdcall",
    lineage=("tdcall",),
    instruction=INSTRUCTIONS["tdcall"],
    families=(STATUSES,),
    edges=Edges(None, None, ()),
    notes=(),
    doc="",
)


# -- parts of a plan


def value(name: str, kind: Type) -> ParameterValue:
    """A parameter as an expression."""
    return ParameterValue(name, kind.possible)


def argument(
    name: str, kind: Type, what: ArgumentKind = ArgumentKind.VALUE, doc: str = ""
) -> Argument:
    """An argument of the C function."""
    return Argument(name, what, kind, False, doc, SPAN)


def given(name: str, kind: Type, promise: Type | None = None, offset: int | None = None) -> Input:
    """The input of the argument with the same name; `offset` in bytes if it is in memory."""
    return Input(name, kind, promise or kind, name, offset, SPAN)


def fill(
    amount: Expression, low: int = 0, high: int = 63, since: str | None = None, doc: str = ""
) -> Fill:
    """Bits of a register and what fills them."""
    return Fill(low, high, amount, since, doc, SPAN)


def load(register: str, *fills: Fill, kind: LoadKind = LoadKind.OPERAND) -> Load:
    """The load of a register from its fills."""
    whole: Expression = Constant(0)
    for index, part in enumerate(fills):
        moved = part.value if part.low == 0 else Binary("<<", part.value, Constant(part.low))
        whole = moved if index == 0 else Binary("|", whole, moved)
    return Load(register, kind, whole, fills, SPAN)


def selector(number: int, version: int = 0) -> Load:
    """RAX as a SEAMCALL or TDCALL takes it."""
    parts = (fill(Constant(number), 0, 15), fill(Constant(version), 16, 23))
    return Load("rax", LoadKind.SELECTOR, Constant(number | version << 16), parts, SPAN)


def delivery(
    name: str,
    kind: Type,
    register: str,
    *,
    high: int = 63,
    test: StatusTest | None = None,
    keep: bool = False,
    into: str | None = "",
    offset: int = 0,
    optional: bool = False,
    doc: str = "",
) -> Delivery:
    """An output; `into` is an argument, "" for the one of its name, None for RDX at return."""
    place = Bits(register, 0, high, SPAN)
    target = name if into == "" else into
    return Delivery(name, kind, place, test, keep, target, offset, optional, doc, SPAN, name)


ON_SUCCESS = StatusTest(any_of=SUCCESS, text="success")
ON_ERROR = StatusTest(any_of=SUCCESS, inverted=True, text="error")


def documentation(doc: str = "") -> Documentation:
    """What is said about a call."""
    return Documentation(doc, (), None, None, (), None, None)


# -- plans


def simple(symbol: str = "tdh_mem_track", conduit: Conduit = SEAMCALL) -> Plan:
    """One handle in, nothing out."""
    return Plan(
        symbol=symbol,
        leaf="TDH.MEM.TRACK",
        number=38,
        version=0,
        version_parameter=None,
        conduit=conduit,
        arguments=(argument("tdr", HPA, doc="the TD's TDR page"),),
        inputs=(given("tdr", HPA),),
        checks=(),
        loads=(selector(38), load("rcx", fill(value("tdr", HPA)))),
        instruction=conduit.instruction,
        destroyed=conduit.clobbers,
        destroys_memory=True,
        destroys_simd=False,
        exposed=None,
        scrub=False,
        edges=conduit.edges,
        status=conduit.status,
        success=SUCCESS,
        again=(),
        guard=None,
        bound=1,
        deliveries=(),
        struct=None,
        returns=Returns.STATUS,
        section=".text",
        documentation=documentation("Begins the next TLB epoch of a TD."),
        span=SPAN,
    )


def again(
    attempts: int, match: Match, text: str, *steps: SetBits | CarryRegister, resumes: bool = False
) -> Again:
    """A clause that repeats the call."""
    return Again(attempts, (match,), steps, resumes, text, SPAN)


def removal(symbol: str = "tdh_mem_page_remove") -> Plan:
    """Two values packed into RCX, a narrow signed argument, two retries, three outputs."""
    packed = Binary("|", value("gpa", GPA), ParameterValue("level", LEVEL.possible))
    no_entropy = Match(ALL_BITS, 0x8000020300000000)
    busy = Match(ALL_BITS, 0x8000020000000092)
    entry = "the Secure EPT entry where the walk ended"
    return replace(
        simple(symbol),
        leaf="TDH.MEM.PAGE.REMOVE",
        number=29,
        arguments=(
            argument("tdr", HPA, doc="the TD's TDR page"),
            argument("gpa", GPA),
            argument("level", S32),
            argument("page", HPA, ArgumentKind.OUT),
            argument("entry", U64, ArgumentKind.OUT, entry),
            replace(argument("info", INFO, ArgumentKind.OUT), optional=True),
        ),
        inputs=(given("tdr", HPA), given("gpa", GPA), given("level", S32, LEVEL)),
        loads=(selector(29), load("rcx", fill(packed)), load("rdx", fill(value("tdr", HPA)))),
        edges=Edges(CARRY, FAULT, ((6, CallSymbol("kvm_spurious_fault", Constant(0), SPAN)),)),
        again=(
            again(9, no_entropy, "retry 9 on TDX_RND_NO_ENTROPY"),
            again(16, busy, "retry 16 on TDX_OPERAND_BUSY(SEPT_TREE)"),
        ),
        guard=Match(1 << 63, 1 << 63),
        bound=170,
        deliveries=(
            delivery("page", HPA, "rcx", test=ON_SUCCESS),
            delivery("entry", U64, "rcx", test=ON_ERROR, doc=entry),
            delivery("info", INFO, "rdx", keep=True, optional=True),
        ),
        documentation=replace(
            documentation(
                "Removes a blocked, TLB-tracked private page from a TD. The page is the host's.\n"
                "\n"
                "Before it is used for anything else, its contents have to be overwritten."
            ),
            notes=("preemption off", "hold the lock of the Secure EPT"),
            since="1.0",
            requires=("TD_PRESERVING",),
        ),
    )


def export(symbol: str = "tdh_export_mem") -> Plan:
    """An in/out argument that is carried on resume, a bit set on resume, a constant operand."""
    resume = again(
        1000,
        Match(0xFFFFFFFF00000000, 0x8000000300000000),
        "resume 1000 on TDX_INTERRUPTED_RESUMABLE(*)",
        SetBits(Bits("r10", 63, 63, SPAN), Constant(1), SPAN),
        CarryRegister("rcx", SPAN),
        resumes=True,
    )
    stream = ranged("stream", U16, 0, 511)
    text = "check stream else TDX_OPERAND_INVALID(R10)"
    return replace(
        simple(symbol),
        leaf="TDH.EXPORT.MEM",
        number=68,
        version=1,
        arguments=(
            argument("list", U64, ArgumentKind.IN_OUT, "the GPA list"),
            argument("stream", U16),
            argument("pages", U64, ArgumentKind.OUT, "how many pages were exported"),
        ),
        inputs=(given("list", U64, offset=0), given("stream", U16, stream)),
        checks=(Check("stream", stream, 0xC00001000000000A, text, SPAN),),
        loads=(
            selector(68, 1),
            load("rcx", fill(value("list", U64))),
            load("rdx", fill(Constant(0)), kind=LoadKind.PRELOAD),
            load("r9", fill(Constant(1), 0, 0, "1.5.16")),
            load("r10", fill(value("stream", U16), 0, 15)),
        ),
        again=(resume,),
        guard=Match(1 << 63, 1 << 63),
        bound=1001,
        deliveries=(
            delivery("list", U64, "rcx", keep=True),
            delivery("pages", U64, "rdx", test=ON_SUCCESS),
        ),
        documentation=replace(
            documentation("Exports pages."), effect="global", deprecated="use version 2"
        ),
    )


def structured(symbol: str = "tdh_mem_sept_rd") -> Plan:
    """Outputs in a caller-provided structure, which may be NULL."""
    base = removal(symbol)
    out = replace(argument("out", U64, ArgumentKind.STRUCT, "takes the outputs"), optional=True)
    return replace(
        base,
        leaf="TDH.MEM.SEPT.RD",
        number=25,
        arguments=(*base.arguments[:3], out),
        loads=(selector(25), *base.loads[1:]),
        again=(),
        guard=None,
        bound=1,
        edges=SEAMCALL.edges,
        struct=Struct("tdx_sept", (Member("entry", U64, 0), Member("level", U32, 8)), 16, 8),
        deliveries=(
            delivery("entry", U64, "rcx", into="out", optional=True, doc="the entry"),
            delivery(
                "level", U32, "rdx", high=2, test=ON_ERROR, into="out", offset=8, optional=True
            ),
        ),
        documentation=documentation("Reads a Secure EPT entry."),
    )


def paired(symbol: str = "tdh_mng_rd") -> Plan:
    """The output comes back in RDX beside the status."""
    base = simple(symbol)
    return replace(
        base,
        leaf="TDH.MNG.RD",
        number=11,
        arguments=(*base.arguments, argument("field_id", U64, doc="which field")),
        inputs=(*base.inputs, given("field_id", U64)),
        loads=(
            selector(11),
            load("rcx", fill(value("tdr", HPA))),
            load("rdx", fill(value("field_id", U64))),
        ),
        deliveries=(delivery("data", U64, "r8", into=None, doc="the field's value"),),
        returns=Returns.STATUS_AND_VALUE,
        documentation=documentation("Reads a field of a TD."),
    )


def fatal(symbol: str = "tdg_fatal") -> Plan:
    """It never returns, and has no argument."""
    return replace(
        simple(symbol, TDCALL),
        leaf="TDG.VP.VMCALL.Fatal",
        number=0x10003,
        arguments=(),
        inputs=(),
        loads=(selector(0), load("r11", fill(Constant(0x10003)))),
        edges=Edges(Trap(SPAN), Trap(SPAN), ()),
        returns=Returns.NOTHING,
        section=".noinstr.text",
        documentation=documentation(),
    )


def described(symbol: str = "tdh_mem_rd") -> Plan:
    """A `bits` argument and a flag shifted into place."""
    base = simple(symbol)
    flags = Binary("|", value("tdr", HPA), Binary("<<", value("resume", BOOL), Constant(53)))
    return replace(
        base,
        arguments=(*base.arguments, argument("resume", BOOL), argument("info", INFO)),
        inputs=(*base.inputs, given("resume", BOOL), given("info", INFO)),
        loads=(selector(38), load("rcx", fill(flags)), load("rdx", fill(value("info", INFO)))),
    )


def all_plans() -> tuple[Plan, ...]:
    """One plan of each kind."""
    return simple(), removal(), export(), structured(), paired(), fatal(), described()
