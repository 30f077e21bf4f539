"""The C header: its text word for word, and names that clash in C."""

# ruff: noqa: E101 - C is indented with tabs, and lined up with spaces after them.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import documented_plans as made
import pytest

from seamir.diagnostics import SeamError
from seamir.emit.c_names import include_guard
from seamir.emit.header import emit_header
from seamir.ir.leaf import ArgumentKind, Member, Plan, Struct
from seamir.model.entities import Conduit
from seamir.model.types import BUILTIN_TYPES, Type
from seamir.targets import select_target

KERNEL = select_target("linux-kernel")


def header(*plans: Plan, stem: str = "made_up", name: str = "made_up.seam") -> str:
    return emit_header(plans, KERNEL, stem, name)


def function_text(plan: Plan) -> str:
    """The comment and prototype of one function."""
    text = header(plan)
    start = text.index(f"/**\n * {plan.symbol}() -")
    return text[start : text.index(";\n", text.index(" */\n", start)) + 2]


# -- word for word


SIMPLE = """\
/**
 * tdh_mem_track() - Begins the next TLB epoch of a TD
 * @tdr: in  rcx - the TD's TDR page; bits 51:12
 *
 * TDH.MEM.TRACK, leaf 38, by seamcall with rax = 0x26.
 *
 * Context: Preemption off.
 *
 * Return: The status in rax; TDX_SEAMCALL_VMFAILINVALID if the carry flag is
 * set, TDX_SW_ERROR | trapnr on exception trapnr.
 */
u64 tdh_mem_track(hpa_t tdr);
"""

REMOVAL = """\
/**
 * tdh_mem_page_remove() - Removes a blocked, TLB-tracked private page from a TD
 * @tdr:   in  rdx        - the TD's TDR page; bits 51:12
 * @gpa:   in  rcx[51:12] - Guest-physical address of a 4K page
 * @level: in  rcx[2:0]   - Level of an entry: 0 = 4K; 0 to 4
 * @page:  out rcx        - Host-physical address of a 4K page; on success, else
 *                          0
 * @entry: out rcx        - the Secure EPT entry where the walk ended; on error,
 *                          else 0
 * @info:  out rdx        - Where a Secure EPT walk ended; untouched if the call
 *                          did not complete; may be NULL
 *
 * TDH.MEM.PAGE.REMOVE, leaf 29, by seamcall with rax = 0x1d.
 *
 * The page is the host's.
 *
 * Before it is used for anything else, its contents have to be overwritten.
 *
 * Hold the lock of the Secure EPT. Since 1.0. Requires TD_PRESERVING.
 *
 * At most 170 attempts: retry 9 on TDX_RND_NO_ENTROPY; retry 16 on
 * TDX_OPERAND_BUSY(SEPT_TREE).
 *
 * Context: Preemption off.
 *
 * Return: The status in rax; TDX_SEAMCALL_VMFAILINVALID if the carry flag is
 * set, TDX_SW_ERROR | trapnr on any other exception trapnr. On #UD, calls
 * kvm_spurious_fault() and returns 0.
 */
u64 tdh_mem_page_remove(hpa_t tdr, gpa_t gpa, s32 level, hpa_t *page,
			u64 *entry, tdx_sept_info_t *info);
"""

EXPORT = """\
/**
 * tdh_export_mem() - Exports pages
 * @list:   in/out rcx    - the GPA list
 * @stream: in  r10[15:0] - 0 to 511
 * @pages:  out rdx       - how many pages were exported; on success, else 0; 0
 *                          if left unwritten
 *
 * TDH.EXPORT.MEM, leaf 68 version 1, by seamcall with rax = 0x10044, r9 = 1
 * (since 1.5.16).
 *
 * Deprecated: use version 2. Global effect.
 *
 * Checked before any call: stream (0 to 511), else returns 0xc00001000000000a.
 *
 * At most 1001 attempts: resume 1000 on TDX_INTERRUPTED_RESUMABLE(*) with
 * r10[63] = 1, carry rcx.
 *
 * Context: Preemption off.
 *
 * Return: The status in rax; TDX_SEAMCALL_VMFAILINVALID if the carry flag is
 * set, TDX_SW_ERROR | trapnr on exception trapnr.
 */
u64 tdh_export_mem(u64 *list, u16 stream, u64 *pages);
"""

STRUCTURED = """\
/**
 * tdh_mem_sept_rd() - Reads a Secure EPT entry
 * @tdr:   in  rdx        - the TD's TDR page; bits 51:12
 * @gpa:   in  rcx[51:12] - Guest-physical address of a 4K page
 * @level: in  rcx[2:0]   - Level of an entry: 0 = 4K; 0 to 4
 * @out:   outputs (may be NULL): entry out rcx; level out rdx[2:0] on error,
 *         else 0
 *
 * TDH.MEM.SEPT.RD, leaf 25, by seamcall with rax = 0x19.
 *
 * Context: Preemption off.
 *
 * Return: The status in rax; TDX_SEAMCALL_VMFAILINVALID if the carry flag is
 * set, TDX_SW_ERROR | trapnr on exception trapnr.
 */
u64 tdh_mem_sept_rd(hpa_t tdr, gpa_t gpa, s32 level, struct tdx_sept *out);
"""

PAIRED = """\
/**
 * tdh_mng_rd() - Reads a field of a TD
 * @tdr:      in  rcx - the TD's TDR page; bits 51:12
 * @field_id: in  rdx - which field
 *
 * TDH.MNG.RD, leaf 11, by seamcall with rax = 0xb.
 *
 * Context: Preemption off.
 *
 * Return: The status in rax, and data from r8 as value;
 * TDX_SEAMCALL_VMFAILINVALID if the carry flag is set, TDX_SW_ERROR | trapnr on
 * exception trapnr.
 */
struct tdh_mng_rd_result tdh_mng_rd(hpa_t tdr, u64 field_id);
"""

FATAL = """\
/**
 * tdg_fatal() - calls TDG.VP.VMCALL.Fatal
 *
 * TDG.VP.VMCALL.Fatal, leaf 0x10003, by tdcall with rax = 0, r11 = 0x10003.
 *
 * Context: The code is in .noinstr.text.
 *
 * Return: Never; executes ud2 if the call comes back.
 */
void tdg_fatal(void) __attribute__((noreturn));
"""


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (made.simple, SIMPLE),
        (made.removal, REMOVAL),
        (made.export, EXPORT),
        (made.structured, STRUCTURED),
        (made.paired, PAIRED),
        (made.fatal, FATAL),
    ],
)
def test_functions_word_for_word(make: Callable[[], Plan], expected: str) -> None:
    assert function_text(make()) == expected


def test_the_rest_of_a_header_word_for_word() -> None:
    small = made.family("tdx_status", made.code("TDX_SUCCESS", 0, doc="All is well."))
    conduit = replace(made.SEAMCALL, families=(small,))
    text = header(made.described("tdh_mem_rd"), stem="a-b")
    assert text.startswith(
        "/*\n"
        " * Generated by seamir from made_up.seam: change that, not this.\n"
        " *\n"
        " * What seamir generates is its user's own, under any licence.\n"
        " *\n"
        " * System V calling convention. "
    )
    text = header(replace(made.described("tdh_mem_rd"), conduit=conduit), stem="a-b")
    start, end = text.index("/*\n * Types"), text.index("/**\n * tdh_mem_rd()")
    assert text[start:end] == TYPES
    rest = text[text.index("/*\n * Statuses.") :]
    assert rest == STATUSES.replace("GUARD", include_guard("a-b"))


TYPES = """\
/*
 * Types, and what the caller promises of their values:
 *
 * - hpa (hpa_t), bits 51:12: Host-physical address of a 4K page.
 */
typedef u64 hpa_t;
typedef u64 tdx_sept_info_t;

/* What the machine code relies on. */
SEAMIR_ASSERT(sizeof(void *) == 8, "size of a pointer");
SEAMIR_ASSERT(sizeof(bool) == 1, "size of bool");
SEAMIR_ASSERT(sizeof(u64) == 8, "size of u64");

#ifndef SEAMIR_BITS_TDX_SEPT_INFO
#define SEAMIR_BITS_TDX_SEPT_INFO 0x0684f1bf

/*
 * Bits of tdx_sept_info_t: Where a Secure EPT walk ended.
 *
 * - level[2:0]: as sept_level
 * - state[15:8]
 */
#define TDX_SEPT_INFO_LEVEL_SHIFT	0
#define TDX_SEPT_INFO_LEVEL_MASK	0x0000000000000007ULL
#define TDX_SEPT_INFO_STATE_SHIFT	8
#define TDX_SEPT_INFO_STATE_MASK	0x000000000000ff00ULL

static inline u64 tdx_sept_info_level(tdx_sept_info_t word)
{
	return (word & TDX_SEPT_INFO_LEVEL_MASK) >> TDX_SEPT_INFO_LEVEL_SHIFT;
}

static inline u64 tdx_sept_info_state(tdx_sept_info_t word)
{
	return (word & TDX_SEPT_INFO_STATE_MASK) >> TDX_SEPT_INFO_STATE_SHIFT;
}

#elif SEAMIR_BITS_TDX_SEPT_INFO != 0x0684f1bf
#error "two headers differ in the bits of tdx_sept_info_t"
#endif

#ifndef SEAMIR_SETTERS_TDX_SEPT_INFO
#define SEAMIR_SETTERS_TDX_SEPT_INFO 0x0684f1bf

static inline tdx_sept_info_t
tdx_sept_info_set_level(tdx_sept_info_t word, u64 field)
{
	word &= ~TDX_SEPT_INFO_LEVEL_MASK;
	field <<= TDX_SEPT_INFO_LEVEL_SHIFT;
	return word | (field & TDX_SEPT_INFO_LEVEL_MASK);
}

static inline tdx_sept_info_t
tdx_sept_info_set_state(tdx_sept_info_t word, u64 field)
{
	word &= ~TDX_SEPT_INFO_STATE_MASK;
	field <<= TDX_SEPT_INFO_STATE_SHIFT;
	return word | (field & TDX_SEPT_INFO_STATE_MASK);
}

#elif SEAMIR_SETTERS_TDX_SEPT_INFO != 0x0684f1bf
#error "two headers differ in the setters of tdx_sept_info_t"
#endif

/**
 * DOC: Conduit seamcall
 *
 * A call of the TDX module.
 *
 * Instruction seamcall, 66 0f 01 cf; status in rax (tdx_status).
 */

"""

STATUSES = """\
/*
 * Statuses. A macro that is defined already keeps its value, so headers that
 * define some of these come before this one.
 */

#ifndef SEAMIR_STATUSES_TDX_STATUS
#define SEAMIR_STATUSES_TDX_STATUS 0x21acfa68

/* tdx_status: a status family. */
static inline bool tdx_status_success(u64 status)
{
	return (status & 0xc000000000000000ULL) == 0;
}

/* Whether a status is that code, whatever its detail bits. */
static inline bool tdx_status_is(u64 status, u64 code)
{
	return ((status ^ code) & 0xffffffff00000000ULL) == 0;
}

static inline u64 tdx_status_detail(u64 status)
{
	return status & 0xffffffffULL;
}

#ifndef TDX_SUCCESS
#define TDX_SUCCESS	0x0000000000000000ULL	/* All is well. */
#endif

#elif SEAMIR_STATUSES_TDX_STATUS != 0x21acfa68
#error "two headers differ in statuses tdx_status"
#endif

#ifndef SEAMIR_OPERANDS_TDX_OPERAND_ID
#define SEAMIR_OPERANDS_TDX_OPERAND_ID 0xe729e534

/* tdx_operand_id: What the detail bits name. */
#ifndef TDX_OPERAND_ID_RCX
#define TDX_OPERAND_ID_RCX		0x1ULL
#endif
#ifndef TDX_OPERAND_ID_SEPT_TREE
#define TDX_OPERAND_ID_SEPT_TREE	0x92ULL
#endif

#elif SEAMIR_OPERANDS_TDX_OPERAND_ID != 0xe729e534
#error "two headers differ in operands tdx_operand_id"
#endif

#undef SEAMIR_ASSERT

#ifdef __cplusplus
}
#endif

#endif /* GUARD */
"""


STRUCTURE = """\
#ifndef SEAMIR_STRUCT_TDX_SEPT
#define SEAMIR_STRUCT_TDX_SEPT 0x10698d84

/**
 * struct tdx_sept - outputs of tdh_mem_sept_rd()
 * @entry: rcx - the entry; 0 if the call did not complete
 * @level: rdx[2:0] - on error, else 0
 */
struct tdx_sept {
	u64 entry;
	u32 level;
};

SEAMIR_ASSERT(sizeof(struct tdx_sept) == 16 &&
	      __builtin_offsetof(struct tdx_sept, entry) == 0 &&
	      __builtin_offsetof(struct tdx_sept, level) == 8,
	      "layout of struct tdx_sept");

#elif SEAMIR_STRUCT_TDX_SEPT != 0x10698d84
#error "two headers differ in struct tdx_sept"
#endif

/**
 * struct tdh_mng_rd_result - what tdh_mng_rd() returns
 * @status: status, rax
 * @value:  data, r8 - the field's value; 0 if the call did not complete
 */
struct tdh_mng_rd_result {
	u64 status;
	u64 value;
};

SEAMIR_ASSERT(sizeof(struct tdh_mng_rd_result) == 16 &&
	      __builtin_offsetof(struct tdh_mng_rd_result, status) == 0 &&
	      __builtin_offsetof(struct tdh_mng_rd_result, value) == 8,
	      "layout of struct tdh_mng_rd_result");

"""


def test_structures_word_for_word() -> None:
    text = header(made.structured(), made.paired())
    start, end = text.index("#ifndef SEAMIR_STRUCT_"), text.index("/**\n * DOC:")
    assert text[start:end] == STRUCTURE


def test_an_in_out_member_of_a_structure() -> None:
    plan = made.export()
    out = made.argument("out", made.U64, ArgumentKind.STRUCT)
    outputs = tuple(
        replace(delivery, argument="out", offset=8 * index)
        for index, delivery in enumerate(plan.deliveries)
    )
    members = (Member("list", made.U64, 0), Member("pages", made.U64, 8))
    plan = replace(
        plan,
        arguments=(plan.arguments[1], out),
        inputs=(replace(plan.inputs[0], argument="out"), plan.inputs[1]),
        struct=Struct("export", members, 16, 8),
        deliveries=outputs,
    )
    words = function_text(plan).replace("\n *          ", " ")
    assert (
        "@out:    outputs: list in/out rcx; pages out rdx on success, else 0; 0 if left unwritten"
    ) in words


def test_further_values_of_a_status_have_names() -> None:
    text = header(made.simple())
    assert "#define TDX_NON_RECOVERABLE_TD		0x6000000200000000ULL\n" in text
    line = "#define TDX_NON_RECOVERABLE_TD_ALT1	0x4000000200000000ULL	/* another value */\n"
    assert line in text


def test_codes_of_several_values_have_a_test_of_their_own() -> None:
    text = header(made.simple())
    assert TEST_OF_CODE in text
    assert text.count("static inline bool tdx_status_is_") == 1
    assert "FAMILY_is_CODE() tests for all" in " ".join(text.split()).replace(" * ", " ")
    assert "FAMILY_is_CODE" not in header(made.simple(conduit=plain_conduit("x", "A")))
    text = header(made.simple(conduit=plain_conduit("TDX", "tdx", 1, 2)))
    assert "bool TDX_is_tdx(u64 status)\n{\n\treturn status == 0x1ULL ||\n" in text


def plain_conduit(name: str, code: str, *values: int) -> Conduit:
    statuses = made.family(name, made.code(code, *(values or (1,))), detail=0, operands=None)
    return replace(made.SEAMCALL, families=(statuses,))


TEST_OF_CODE = """\
/* Whether a status is TDX_NON_RECOVERABLE_TD, by any of its values. */
static inline bool tdx_status_is_non_recoverable_td(u64 status)
{
	return (status & 0xffffffff00000000ULL) == 0x6000000200000000ULL ||
	       (status & 0xffffffff00000000ULL) == 0x4000000200000000ULL;
}
"""


def test_setters_are_for_types_that_go_in() -> None:
    text = header(made.removal())
    assert "u64 tdx_sept_info_level(" in text and "_set_" not in text
    plan = made.described()
    info = replace(plan.arguments[2], kind=ArgumentKind.IN_OUT)
    inputs = (*plan.inputs[:2], replace(plan.inputs[2], offset=0))
    plan = replace(plan, arguments=(*plan.arguments[:2], info), inputs=inputs)
    plan = replace(plan, deliveries=(made.delivery("info", made.INFO, "rdx", keep=True),))
    assert "tdx_sept_info_set_level(" in header(plan)


def test_a_member_that_comes_from_two_registers() -> None:
    plan = made.structured("other")
    entry = replace(plan.deliveries[0], place=replace(plan.deliveries[0].place, register="r8"))
    plan = replace(plan, deliveries=(entry, plan.deliveries[1]))
    text = " ".join(header(made.structured(), plan).split()).replace(" * ", " ")
    assert (
        "@entry: tdh_mem_sept_rd(): rcx - the entry; 0 if the call did not complete. "
        "other(): r8 - the entry; 0 if the call did not complete @level: rdx[2:0] - "
    ) in text


def test_a_fault_of_a_vector_without_an_edge_is_not_caught() -> None:
    edges = replace(made.removal().edges, fault=None)
    assert "Any other exception is not caught." in function_text(
        replace(made.removal(), edges=edges)
    )
    assert "An exception at the instruction is not caught." in function_text(
        made.simple(conduit=made.TDCALL)
    )


def test_a_target_without_fixup_table_promises_no_fault_status() -> None:
    text = emit_header([made.simple()], select_target("linux-kernel", ("-fixup",)), "x", "x.seam")
    assert "trapnr" not in text
    comment = text[text.index("/**\n * tdh_mem_track()") :]
    words = " ".join(comment.split()).replace(" * ", " ")
    assert "Context: Preemption off. An exception at the instruction is not caught." in words


# -- names


def error_of(*plans: Plan) -> str:
    with pytest.raises(SeamError) as caught:
        header(*plans)
    assert all(d.span is not None for d in caught.value.diagnostics)
    return "\n".join(f"{d.code} {d.message}" for d in caught.value.diagnostics)


def with_argument(name: str, kind: Type = made.U64) -> Plan:
    plan = made.simple()
    argument = made.argument(name, kind)
    return replace(
        plan,
        arguments=(*plan.arguments, argument),
        inputs=(*plan.inputs, made.given(name, kind)),
    )


def test_a_function_and_a_status_of_one_name() -> None:
    assert error_of(made.simple("TDX_SUCCESS")) == (
        "E0612 in C, `TDX_SUCCESS` would name both the code tdx_status.TDX_SUCCESS and "
        "the function TDX_SUCCESS"
    )


def test_a_parameter_and_its_type_of_one_name() -> None:
    assert error_of(with_argument("hpa_t")) == (
        "E0612 in C, `hpa_t` would name both parameter hpa_t of tdh_mem_track and type hpa (a u64)"
    )


def test_a_parameter_and_a_macro_of_one_name() -> None:
    assert "`TDX_SUCCESS` would name both" in error_of(with_argument("TDX_SUCCESS"))


def test_one_type_name_for_two_representations() -> None:
    other = replace(BUILTIN_TYPES["u32"], name="other", c_name="hpa_t", span=made.SPAN)
    assert error_of(with_argument("x", other)) == (
        "E0612 in C, `hpa_t` would name both type other (a u32) and type hpa (a u64)"
    )


def test_an_accessor_and_a_function_of_one_name() -> None:
    message = error_of(made.described("tdx_sept_info_level"))
    assert message == (
        "E0612 in C, `tdx_sept_info_level` would name both the function tdx_sept_info_level and "
        "the accessor of sept_info.level"
    )


def test_a_name_that_the_header_uses_itself() -> None:
    family = made.family("odd", made.code("status", 1))
    plan = replace(made.simple(), conduit=replace(made.SEAMCALL, families=(family,)))
    assert error_of(plan) == (
        "E0612 in C, `status` would name both the code odd.status and "
        "a parameter of the header's own functions"
    )


def test_two_families_may_share_a_code_of_one_value_only() -> None:
    shared = made.family("other", made.code("TDX_SUCCESS", 0), operands=None)
    plan = replace(made.simple(), conduit=replace(made.SEAMCALL, families=(made.STATUSES, shared)))
    assert header(plan).count("#define TDX_SUCCESS") == 1
    shared = made.family("other", made.code("TDX_SUCCESS", 1), operands=None)
    plan = replace(made.simple(), conduit=replace(made.SEAMCALL, families=(made.STATUSES, shared)))
    assert "the code other.TDX_SUCCESS and the code tdx_status.TDX_SUCCESS" in error_of(plan)


def test_names_that_differ_in_case_only_share_a_macro() -> None:
    families = made.family("odd", operands=None), made.family("ODD", operands=None)
    plan = replace(made.simple(), conduit=replace(made.SEAMCALL, families=families))
    assert error_of(plan) == (
        "E0612 in C, `SEAMIR_STATUSES_ODD` would name both statuses ODD and statuses odd"
    )


def test_a_type_name_that_is_no_identifier() -> None:
    kind = replace(made.HPA, c_name="int evil; u64")
    assert error_of(with_argument("x", kind)) == (
        "E0612 `int evil; u64` cannot be the name of type hpa (a u64): it is no C identifier"
    )


def test_one_structure_with_two_layouts() -> None:
    plan = made.structured("other")
    assert plan.struct is not None
    other = replace(plan.struct, members=plan.struct.members[:1], size=8)
    assert error_of(made.structured(), replace(plan, struct=other)) == (
        "E0611 struct tdx_sept would have two layouts, of tdh_mem_sept_rd and of other"
    )


def test_a_structure_shared_by_two_functions_is_defined_once() -> None:
    text = header(made.structured(), made.structured("other"))
    assert text.count("struct tdx_sept {") == 1
    assert "struct tdx_sept - outputs of tdh_mem_sept_rd(), other()" in text


def test_include_guards_differ_as_stems_do() -> None:
    stems = ("host", "Host", "HOST", "a-b", "a_b", "a.b", "é", "/", "", "x\n*/")
    guards = [include_guard(stem) for stem in stems]
    assert guards[0] == "SEAMIR_HOST_H"
    assert len(set(guards)) == len(stems)
    assert all(guard.isidentifier() and guard.isascii() for guard in guards)


def test_pointers_and_optional_arguments_in_c() -> None:
    plan = with_argument("data", BUILTIN_TYPES["ptr"])
    out = made.argument("where", BUILTIN_TYPES["ptr"], ArgumentKind.OUT)
    plan = replace(
        plan,
        arguments=(*plan.arguments, out),
        deliveries=(made.delivery("where", BUILTIN_TYPES["ptr"], "rdx"),),
    )
    assert "(hpa_t tdr, void *data, void **where);" in header(plan)
