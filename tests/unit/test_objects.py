"""Reading back objects: ELF structures, line tables, fixups, disassembly, cost."""

import contextlib
import random
import struct
from functools import cache

import llvmlite.binding as llvm
import pytest

from seamir.objects.contents import (
    FixupEntry,
    Function,
    LineEntry,
    ObjectError,
    ObjectFile,
    Relocation,
)
from seamir.objects.cost import Cost, measure
from seamir.objects.disassembly import disassemble, labels, listing
from seamir.objects.reading import read_object

TRIPLE = "x86_64-unknown-linux-gnu"

KERNEL = r"""
declare void @kvm_spurious_fault()

define i64 @plain(i64 %a) !dbg !20 {
  %b = add i64 %a, 3, !dbg !21
  call void @kvm_spurious_fault(), !dbg !22
  %c = call i64 @wrapper(i64 %b, ptr null), !dbg !22
  ret i64 %c, !dbg !23
}

define i64 @wrapper(i64 %a, ptr %p) noinline fn_ret_thunk_extern section ".noinstr.text" !dbg !10 {
entry:
  %r = callbr {i64,i64,i64} asm sideeffect
    "771: .byte 0x66,0x0f,0x01,0xcf; jc ${6:l}; .pushsection \22TABLE\22,\22a\22; .balign 4; .long 771b - .; .long ${7:l} - .; .long 2; .popsection",
    "={rax},={rcx},={rdx},{rax},{rcx},{rdx},!i,!i,~{memory},~{flags}"(i64 %a, i64 1, i64 2)
    to label %ok [label %carry, label %fault], !dbg !12
ok:
  %x = extractvalue {i64,i64,i64} %r, 1
  store i64 %x, ptr %p, !dbg !13
  ret i64 0, !dbg !13
carry:
  ret i64 5, !dbg !14
fault:
  call void @kvm_spurious_fault(), !dbg !15
  ret i64 7, !dbg !15
}

define i64 @second(i64 %a) section ".noinstr.text" !dbg !30 {
entry:
  %r = callbr i64 asm sideeffect
    "nop; 771: .byte 0x66,0x0f,0x01,0xcc; .pushsection \22TABLE\22,\22a\22; .balign 4; .long 771b - .; .long ${2:l} - .; .long 17; .popsection",
    "={rax},{rax},!i,~{memory},~{flags}"(i64 %a) to label %ok [label %fault], !dbg !31
ok:
  ret i64 %r, !dbg !32
fault:
  ret i64 -1, !dbg !33
}

!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!1, !2}
!0 = distinct !DICompileUnit(language: DW_LANG_C99, file: !3, isOptimized: true, runtimeVersion: 0, emissionKind: LineTablesOnly)
!1 = !{i32 2, !"Dwarf Version", i32 DWARF}
!2 = !{i32 2, !"Debug Info Version", i32 3}
!3 = !DIFile(filename: "leaves/a.seam", directory: "/src")
!4 = !DIFile(filename: "b.seam", directory: "/lib/")
!5 = !DISubroutineType(types: !{})
!10 = distinct !DISubprogram(name: "wrapper", scope: !3, file: !3, line: 10, type: !5, scopeLine: 10, spFlags: DISPFlagDefinition, unit: !0)
!12 = !DILocation(line: 12, column: 1, scope: !10)
!13 = !DILocation(line: 13, column: 1, scope: !10)
!14 = !DILocation(line: 14, column: 1, scope: !10)
!15 = !DILocation(line: 15, column: 1, scope: !10)
!20 = distinct !DISubprogram(name: "plain", scope: !4, file: !4, line: 20, type: !5, scopeLine: 20, spFlags: DISPFlagDefinition, unit: !0)
!21 = !DILocation(line: 21, column: 1, scope: !20)
!22 = !DILocation(line: 22, column: 1, scope: !20)
!23 = !DILocation(line: 23, column: 1, scope: !20)
!30 = distinct !DISubprogram(name: "second", scope: !3, file: !3, line: 30, type: !5, scopeLine: 30, spFlags: DISPFlagDefinition, unit: !0)
!31 = !DILocation(line: 31, column: 1, scope: !30)
!32 = !DILocation(line: 32, column: 1, scope: !30)
!33 = !DILocation(line: 33, column: 1, scope: !30)
"""  # noqa: E501 - LLVM IR has no line continuation


@cache
def emit(text: str, model: str = "kernel", features: str = "", triple: str = TRIPLE) -> bytes:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
    module = llvm.parse_assembly(f'target triple = "{triple}"\n{text}')
    module.verify()
    cpu = "x86-64" if triple.startswith("x86_64") else ""
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=2, reloc="static", codemodel=model
    )
    emitted: bytes = machine.emit_object(module)
    return emitted


def kernel_bytes(dwarf: int = 5, table: str = "__ex_table") -> bytes:
    return emit(KERNEL.replace("DWARF", str(dwarf)).replace("TABLE", table))


@pytest.fixture(scope="module")
def kernel() -> ObjectFile:
    return read_object(kernel_bytes())


def function_of(object_file: ObjectFile, name: str) -> Function:
    function = object_file.function(name)
    assert function is not None
    return function


def code(text: str, relocations: tuple[Relocation, ...] = (), offset: int = 0) -> Function:
    return Function("f", ".text", offset, bytes.fromhex(text), relocations)


def assembled(text: str, name: str = "f") -> Function:
    body = "\n".join(
        f'module asm "{line}"'
        for line in (
            *(".text", f".type {name},@function", f"{name}:"),
            *text.split("; "),
            f".size {name}, .-{name}",
        )
    )
    return function_of(read_object(emit(body)), name)


def texts(function: Function) -> list[str]:
    return [instruction.text for instruction in disassemble(function)]


# --- ELF structures


def test_functions_have_their_section_offset_and_code(kernel: ObjectFile) -> None:
    found = [(f.name, f.section) for f in kernel.functions]
    assert found == [
        ("plain", ".text"),
        ("wrapper", ".noinstr.text"),
        ("second", ".noinstr.text"),
    ]
    plain, wrapper, second = kernel.functions
    assert (plain.offset, wrapper.offset) == (0, 0)
    assert second.offset >= len(wrapper.code)
    assert second.offset % 16 == 0
    for function in kernel.functions:
        section = kernel.section(function.section)
        assert section is not None
        end = function.offset + len(function.code)
        assert section.data[function.offset : end] == function.code
    assert second.code[-1] == 0xC3


def test_relocations_count_from_the_function_and_from_the_section() -> None:
    object_file = read_object(
        emit(
            "declare void @away()\n"
            "define void @first() { call void @away() \n ret void }\n"
            "define void @later() { call void @away() \n ret void }\n"
        )
    )
    first, later = object_file.functions
    expected = Relocation(2, "R_X86_64_PLT32", "away", -4)  # after push rax and the opcode
    assert first.relocations == (expected,)
    assert later.relocations == (expected,)
    assert later.offset == 16
    section = object_file.section(".text")
    assert section is not None
    assert [one.offset for one in section.relocations] == [2, 18]


def test_relocations_are_in_the_order_of_their_offsets() -> None:
    data = bytearray(kernel_bytes())
    rows = section_range(data, ".rela.noinstr.text")
    entries = [bytes(data[start : start + 24]) for start in rows[::24]]
    assert len(entries) > 2
    data[rows.start : rows.stop] = b"".join(reversed(entries))
    assert read_object(bytes(data)) == read_object(kernel_bytes())


def test_sections_carry_alignment_flags_and_only_content(kernel: ObjectFile) -> None:
    table = kernel.section("__ex_table")
    text = kernel.section(".noinstr.text")
    assert table is not None
    assert text is not None
    assert (table.alignment, table.flags, len(table.data)) == (4, 0x2, 24)
    assert (text.alignment, text.flags) == (16, 0x6)
    assert {one.symbol for one in table.relocations} == {".noinstr.text"}
    assert {one.kind for one in table.relocations} == {"R_X86_64_PC32"}
    names = {section.name for section in kernel.sections}
    assert not names & {"", ".symtab", ".strtab", ".rela.text", ".rela.noinstr.text"}
    assert kernel.section(".absent") is None
    assert kernel.function("absent") is None


def test_a_section_without_bytes_has_empty_data() -> None:
    object_file = read_object(emit("@room = global [64 x i8] zeroinitializer"))
    section = object_file.section(".bss")
    assert section is not None
    assert section.data == b""


def test_undefined_symbols_are_sorted_names(kernel: ObjectFile) -> None:
    assert kernel.undefined_symbols == ("__x86_return_thunk", "kvm_spurious_fault")


def test_local_functions_and_aliases_are_read() -> None:
    object_file = read_object(
        emit(
            "@other = alias i64 (i64), ptr @main_one\n"
            "define i64 @main_one(i64 %a) { %b = call i64 @hidden(i64 %a) \n ret i64 %b }\n"
            "define internal i64 @hidden(i64 %a) noinline { %b = mul i64 %a, 7 \n ret i64 %b }\n"
        )
    )
    assert {f.name for f in object_file.functions} == {"other", "main_one", "hidden"}
    main, other = function_of(object_file, "main_one"), function_of(object_file, "other")
    assert main.code == other.code
    assert main.offset == other.offset


def test_hash_and_equality_ignore_where_the_lines_come_from() -> None:
    one, two = read_object(kernel_bytes()), read_object(kernel_bytes())
    assert one == two
    assert hash(one.functions[0]) == hash(two.functions[0])


# --- lines


@pytest.mark.parametrize("dwarf", [4, 5])
def test_lines_tell_sections_and_files_apart(dwarf: int) -> None:
    object_file = read_object(kernel_bytes(dwarf))
    plain = function_of(object_file, "plain")
    wrapper = function_of(object_file, "wrapper")
    second = function_of(object_file, "second")
    assert {entry.file for entry in plain.lines} == {"/lib/b.seam"}
    assert {entry.file for entry in wrapper.lines} == {"leaves/a.seam"}
    assert {entry.file for entry in second.lines} == {"leaves/a.seam"}
    assert {entry.line for entry in plain.lines} == {20, 21, 22, 23}
    assert {entry.line for entry in wrapper.lines} == {10, 12, 13, 14, 15}
    assert {entry.line for entry in second.lines} == {30, 31, 32, 33}
    for function in (plain, wrapper, second):
        offsets = [entry.offset for entry in function.lines]
        assert offsets == sorted(set(offsets))
        assert offsets[0] == 0
        assert offsets[-1] < len(function.code)


@pytest.mark.parametrize("dwarf", [4, 5])
def test_an_instruction_has_the_line_it_came_from(dwarf: int) -> None:
    object_file = read_object(kernel_bytes(dwarf))
    by_text = {i.text: i.line for i in disassemble(function_of(object_file, "wrapper"))}
    assert by_text["seamcall"] == 12
    assert by_text["mov [rsi], rcx"] == 13
    assert by_text["mov eax, 0x5"] == 14
    assert by_text["call kvm_spurious_fault"] == 15
    second = {i.text: i.line for i in disassemble(function_of(object_file, "second"))}
    assert second["tdcall"] == 31


def test_an_object_without_debug_info_has_no_lines() -> None:
    object_file = read_object(emit("define void @f() { ret void }"))
    assert object_file.functions[0].lines == ()
    assert disassemble(object_file.functions[0])[0].line is None


def test_a_function_without_lines_next_to_one_with_has_none() -> None:
    text = KERNEL.replace("DWARF", "5").replace("TABLE", "t")
    object_file = read_object(emit(text + "\ndefine i64 @bare() { ret i64 1 }\n"))
    assert function_of(object_file, "bare").lines == ()
    assert function_of(object_file, "plain").lines != ()


def test_lines_where_the_code_of_two_units_meets() -> None:
    units = """
    define void @one() nounwind optsize !dbg !10 { ret void, !dbg !11 }
    define void @two() nounwind optsize !dbg !20 { ret void, !dbg !21 }
    define void @three() nounwind optsize !dbg !30 { ret void, !dbg !31 }
    !llvm.dbg.cu = !{!0, !1}
    !llvm.module.flags = !{!2}
    !0 = distinct !DICompileUnit(language: DW_LANG_C99, file: !3, emissionKind: LineTablesOnly)
    !1 = distinct !DICompileUnit(language: DW_LANG_C99, file: !4, emissionKind: LineTablesOnly)
    !2 = !{i32 2, !"Debug Info Version", i32 3}
    !3 = !DIFile(filename: "a.seam", directory: "/src")
    !4 = !DIFile(filename: "b.seam", directory: "/src")
    !5 = !DISubroutineType(types: !{})
    !10 = distinct !DISubprogram(name: "one", file: !3, line: 1, type: !5, unit: !0)
    !11 = !DILocation(line: 1, column: 1, scope: !10)
    !20 = distinct !DISubprogram(name: "two", file: !4, line: 2, type: !5, unit: !1)
    !21 = !DILocation(line: 2, column: 1, scope: !20)
    !30 = distinct !DISubprogram(name: "three", file: !3, line: 3, type: !5, unit: !0)
    !31 = !DILocation(line: 3, column: 1, scope: !30)
    """
    functions = read_object(emit(units)).functions
    assert [(f.name, f.offset) for f in functions] == [("one", 0), ("two", 1), ("three", 2)]
    assert [f.lines for f in functions] == [
        (LineEntry(0, "a.seam", 1),),
        (LineEntry(0, "b.seam", 2),),
        (LineEntry(0, "a.seam", 3),),
    ]


def test_compressed_debug_sections_are_an_error_of_the_lines_alone() -> None:
    data = bytearray(kernel_bytes())
    place = section_range(data, ".debug_line").start
    (table,) = struct.unpack_from("<Q", data, 40)
    header = next(
        start
        for start in range(table, len(data), 64)
        if struct.unpack_from("<Q", data, start + 24) == (place,)
        and struct.unpack_from("<Q", data, start + 32) != (0,)
    )
    data[header + 9] |= 0x08  # SHF_COMPRESSED
    function = function_of(read_object(bytes(data)), "wrapper")
    with pytest.raises(ObjectError, match="compressed"):
        _ = function.lines


def test_lines_are_not_read_before_they_are_asked_for() -> None:
    data = bytearray(kernel_bytes())
    content = section_range(data, ".debug_line")
    data[content.start : content.stop] = b"\xff" * len(content)
    function = function_of(read_object(bytes(data)), "wrapper")
    assert listing(function).startswith("wrapper: ")
    with pytest.raises(ObjectError, match="line table"):
        _ = function.lines


def test_a_function_made_by_hand_has_no_lines() -> None:
    assert code("c3").lines == ()


def test_disassembly_takes_the_line_in_force() -> None:
    entries = (LineEntry(1, "a", 5), LineEntry(2, "a", 0), LineEntry(3, "a", 6))
    function = Function("f", ".text", 0, bytes.fromhex("909090c3"), (), lambda: entries)
    assert [i.line for i in disassemble(function)] == [None, 5, None, 6]


# --- fixups


@pytest.mark.parametrize("table", ["__ex_table", "seamir_ex_table"])
def test_fixups_resolve_to_offsets_in_their_functions(table: str) -> None:
    object_file = read_object(kernel_bytes(table=table))
    wrapper = function_of(object_file, "wrapper")
    second = function_of(object_file, "second")
    assert second.offset > 0
    entries = object_file.fixups(table)
    assert [(e.function, e.kind) for e in entries] == [("wrapper", 2), ("second", 17)]
    assert entries[0].from_offset == wrapper.code.index(bytes.fromhex("660f01cf"))
    assert entries[1].from_offset == second.code.index(bytes.fromhex("660f01cc"))
    at = {i.offset: i.text for i in disassemble(wrapper)}
    assert at[entries[0].to_offset] == "call kvm_spurious_fault"
    at = {i.offset: i.text for i in disassemble(second)}
    assert at[entries[1].to_offset] == "mov rax, 0xffffffffffffffff"


def test_no_table_has_no_fixups(kernel: ObjectFile) -> None:
    assert kernel.fixups("seamir_ex_table") == ()


def fixup_table(rows: str) -> ObjectFile:
    lines = (
        *(".text", "nop", ".type f,@function", ".type g,@function"),
        *("f:", "nop", "fi: nop", "ret", ".size f,.-f", "g:", "gi: ret", ".size g,.-g"),
        *(".section \\22t\\22,\\22a\\22", *rows.split("; ")),
    )
    return read_object(emit("\n".join(f'module asm "{line}"' for line in lines)))


def test_fixups_against_global_and_local_labels_and_a_negative_type() -> None:
    rows = ".long fi - .; .long f - .; .long -3"
    for text in (rows, f"{rows}; .globl f; .globl fi"):
        assert fixup_table(text).fixups("t") == (FixupEntry(1, 0, "f", -3),)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (".long fi - .; .long gi - .; .long 1", "within one function"),
        (".long f - 1 - .; .long f - .; .long 1", "within one function"),
        (".long away - .; .long f - .; .long 1", "within one function"),
        (".long fi - .; .long f - .", "whole number of rows"),
        (".long 5; .long f - .; .long 1", "no PC32 relocation"),
        (".long f; .long f - .; .long 1", "no PC32 relocation"),
    ],
)
def test_fixups_that_do_not_resolve_are_errors(rows: str, problem: str) -> None:
    with pytest.raises(ObjectError, match=problem):
        fixup_table(rows).fixups("t")


# --- malformed input


def read_everything(data: bytes) -> None:
    object_file = read_object(data)
    for section in object_file.sections:
        with contextlib.suppress(ObjectError):  # the only error that there may be
            object_file.fixups(section.name)
    for function in object_file.functions:
        with contextlib.suppress(ObjectError):  # the only error that there may be
            _ = function.lines
        listing(function)


def section_range(data: bytes | bytearray, name: str) -> range:
    """Where in the file a section's content is."""
    (table,), (count, names) = (
        struct.unpack_from("<Q", data, 40),
        struct.unpack_from("<HH", data, 60),
    )
    rows = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * i) for i in range(count)]
    for row in rows:
        start = rows[names][4] + row[0]
        if data[start : start + len(name) + 1] == name.encode() + b"\0":
            return range(row[4], row[4] + row[5])
    raise AssertionError(name)


def test_the_error_is_a_value_error() -> None:
    assert issubclass(ObjectError, ValueError)


@pytest.mark.parametrize(
    "data", [b"", b"\x7fELF", b"\x00" * 64, b"\x7fELF\x02\x01\x01" + b"\xff" * 57]
)
def test_what_is_no_object_is_an_error(data: bytes) -> None:
    with pytest.raises(ObjectError):
        read_object(data)


def test_every_truncation_is_an_error() -> None:
    data = kernel_bytes()
    for length in range(len(data)):
        with pytest.raises(ObjectError):
            read_object(data[:length])


def test_random_bytes_are_an_error() -> None:
    source = random.Random(1)
    for size in range(0, 2000, 13):
        with pytest.raises(ObjectError):
            read_object(source.randbytes(size))
        with pytest.raises(ObjectError):
            read_object(kernel_bytes()[:16] + source.randbytes(size))


def test_another_machine_or_class_is_an_error() -> None:
    for triple in ("aarch64-unknown-linux-gnu", "i386-unknown-linux-gnu"):
        with pytest.raises(ObjectError):
            read_object(emit("define void @f() { ret void }", "small", "", triple))


@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (4, b"\x01", "64-bit"),  # class
        (5, b"\x02", "little-endian"),  # byte order
        (16, b"\x02\x00", "relocatable"),  # an executable
        (18, b"\xb7\x00", "x86-64"),  # AArch64
        (58, b"\x28\x00", "section header table"),  # the size of an entry
        (60, b"\x00\x00", "section header table"),  # their number
        (62, b"\xff\xff", "section header table"),  # where the names are
        (40, b"\xff" * 8, "past the end"),  # where the table is
    ],
)
def test_a_wrong_header_field_is_named(offset: int, value: bytes, problem: str) -> None:
    data = bytearray(kernel_bytes())
    data[offset : offset + len(value)] = value
    with pytest.raises(ObjectError, match=problem):
        read_object(bytes(data))


@pytest.mark.parametrize(
    ("section", "offset", "value", "problem"),
    [
        (".rela.text", 0, b"\xff\xff", "out of bounds"),  # r_offset
        (".rela.text", 12, b"\xff\xff", "out of bounds"),  # the symbol
        (".symtab", 24, b"\xff\xff\xff\x7f", "string table"),  # st_name
        (".symtab", 30, b"\xf0\x00", "does not exist"),  # st_shndx
    ],
)
def test_a_wrong_table_entry_is_named(
    section: str, offset: int, value: bytes, problem: str
) -> None:
    data = bytearray(kernel_bytes())
    start = section_range(data, section).start + offset
    data[start : start + len(value)] = value
    with pytest.raises(ObjectError, match=problem):
        read_object(bytes(data))


def test_a_function_past_the_end_of_its_section_is_an_error() -> None:
    data = bytearray(kernel_bytes())
    symbols = section_range(data, ".symtab")
    for start in symbols[::24]:
        if data[start + 4] & 0xF == 2:  # a function; its size is the last field
            data[start + 16 : start + 24] = struct.pack("<Q", 1 << 20)
    with pytest.raises(ObjectError, match="past the end"):
        read_object(bytes(data))


@pytest.mark.parametrize("dwarf", [4, 5])
def test_damaged_objects_raise_nothing_but_object_errors(dwarf: int) -> None:
    original = kernel_bytes(dwarf)
    source = random.Random(dwarf)
    damaged = 0
    for _ in range(1500):
        data = bytearray(original)
        for _ in range(source.randint(1, 4)):
            data[source.randrange(20, len(data))] = source.choice((0, 1, 0x7F, 0x80, 0xFF))
        try:
            read_everything(bytes(data))
        except ObjectError:
            damaged += 1
    assert 0 < damaged < 1500


@pytest.mark.parametrize("section", [".debug_line", ".debug_info", ".debug_abbrev"])
def test_damaged_debug_sections_raise_nothing_but_object_errors(section: str) -> None:
    original = kernel_bytes()
    place = section_range(original, section)
    for offset in place:
        for value in (0, 1, 0x55, 0x80, 0xFF):
            data = bytearray(original)
            data[offset] = value
            read_everything(bytes(data))


# --- disassembly


def test_seamcall_and_tdcall_are_named(kernel: ObjectFile) -> None:
    assert "seamcall" in texts(function_of(kernel, "wrapper"))
    assert "tdcall" in texts(function_of(kernel, "second"))


def test_calls_and_tail_jumps_are_printed_with_their_symbol(kernel: ObjectFile) -> None:
    wrapper = texts(function_of(kernel, "wrapper"))
    assert wrapper.count("jmp __x86_return_thunk") == 3
    assert wrapper.count("call kvm_spurious_fault") == 1
    assert "call wrapper" in texts(function_of(kernel, "plain"))


def test_instructions_cover_the_code_and_carry_its_relocations(kernel: ObjectFile) -> None:
    for function in kernel.functions:
        instructions = disassemble(function)
        assert b"".join(i.code for i in instructions) == function.code
        carried = [one for i in instructions for one in i.relocations]
        assert tuple(carried) == function.relocations
        for instruction in instructions:
            expected = instruction.relocations[0] if instruction.relocations else None
            assert instruction.relocation == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("movq value(%rip), %rax", "mov rax, [rip+value]"),
        ("movq value+8(%rip), %rax", "mov rax, [rip+value+0x8]"),
        ("movl $$7, value(%rip)", "mov dword ptr [rip+value], 0x7"),
        ("movb $$7, value-1(%rip)", "mov byte ptr [rip+value-0x1], 0x7"),
        ("movq value@GOTPCREL(%rip), %rax", "mov rax, [rip+value@GOTPCREL]"),
        ("movq %gs:value, %rax", "mov rax, gs:[value]"),
        ("movq %gs:value+16(%rcx), %rax", "mov rax, gs:[rcx+value+0x10]"),
        ("movq value(,%rax,8), %rdx", "mov rdx, [rax*8+value]"),
        ("movq $$value, %rax", "mov rax, value"),
        ("movabsq $$value+5, %rax", "mov rax, value+0x5"),
        ("pushq $$value", "push value"),
        ("call value", "call value"),
        ("jne value", "jne value"),
        ("jmp *value(,%rcx,8)", "jmp qword ptr [rcx*8+value]"),
        ("lock cmpxchgq %rdx, value(%rip)", "lock cmpxchg [rip+value], rdx"),
        ("rep movsb", "rep movsb [rdi], [rsi]"),
        ("movl $$0xabcd, %ecx", "mov ecx, 0xabcd"),
        ("movq 5(%rsp), %r9", "mov r9, [rsp+0x5]"),
        ("ud2", "ud2"),
        ("int3", "int3"),
    ],
)
def test_operands_are_readable(text: str, expected: str) -> None:
    assert texts(assembled(text.replace("$$", "$"))) == [expected]


def test_two_symbols_in_one_instruction_are_both_printed() -> None:
    function = assembled("movq $one, two(%rip)")
    assert texts(function) == ["mov qword ptr [rip+two], one"]
    (instruction,) = disassemble(function)
    assert [one.symbol for one in instruction.relocations] == ["two", "one"]
    assert instruction.relocation == instruction.relocations[0]


def test_labels_are_numbered_by_offset_and_used_by_branches() -> None:
    function = assembled("1: dec %edi; jz 2f; jmp 1b; 2: ret")
    assert labels(function) == {0: ".L1", 6: ".L2"}
    assert texts(function) == ["dec edi", "je .L2", "jmp .L1", "ret"]


def test_a_relocated_branch_makes_no_label() -> None:
    assert labels(assembled("jmp elsewhere; nop; jz elsewhere; ret")) == {}


def test_fixup_targets_of_this_function_alone_become_labels() -> None:
    function = code("9090c3")
    fixups = (FixupEntry(0, 2, "f", 1), FixupEntry(0, 1, "other", 1))
    assert labels(function, fixups) == {2: ".L1"}
    assert labels(function) == {}


def test_targets_without_a_label_are_printed_as_offsets() -> None:
    assert texts(code("eb01 b8 00000000")) == ["jmp +0x3", "mov eax, 0x0"]
    assert texts(code("eb 20", offset=0x10)) == ["jmp .text+0x32"]
    assert texts(code("eb f0", offset=0x40)) == ["jmp .text+0x32"]


def test_bytes_that_are_no_instruction_are_shown() -> None:
    assert [i.text for i in disassemble(code("0690c3"))] == ["(bad)", "ret"]


# --- type ids

TYPED = """
module asm ".text"
module asm ".type __cfi_f,@function"
module asm "__cfi_f: {before}"
module asm ".size __cfi_f, .-__cfi_f"
module asm "{after} .type f,@function"
module asm "f: ret"
module asm ".size f, .-f"
module asm ".type __cfi_g,@function"
module asm "__cfi_g: ret"
module asm ".size __cfi_g, .-__cfi_g"
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (".skip 11,0x90; mov $0x90909090,%eax", ""),
        ("mov $0x90909090,%eax", ".skip 11,0x90;"),
        ("mov $0x90909090,%eax; .skip 11,0x90", ""),  # as the macros of Linux make it
        ("mov $0x90909090,%ecx", ""),
    ],
)
def test_the_type_id_before_a_function_is_none_itself(before: str, after: str) -> None:
    contents = read_object(emit(TYPED.format(before=before, after=after)))
    # There is no g, so __cfi_g is a function like any other.
    assert [(one.name, one.type_id) for one in contents.functions] == [
        ("f", 0x90909090),
        ("__cfi_g", None),
    ]
    assert "__cfi_f" in contents.other_symbols
    assert listing(contents.functions[0]).startswith(
        "f: .text, 1 bytes, 1 instructions, type id 0x90909090\n"
    )


# --- the listing

LISTING = """\
f: .text, 20 bytes, 6 instructions
  dec edi                                   ff cf
  je .L1                                    74 ..
  seamcall                                  66 0f 01 cf                    fixup -> .L2 type 2
  jmp __x86_return_thunk                    e9 00 00 00 00                 R_X86_64_PLT32 __x86_return_thunk-0x4
.L1:
  call oops                                 e8 00 00 00 00                 R_X86_64_PLT32 oops-0x4
.L2:
  ud2                                       0f 0b
"""  # noqa: E501 - the text is compared exactly


def test_the_listing_is_exactly_this() -> None:
    function = assembled(
        "decl %edi; jz 1f; .byte 0x66,0x0f,0x01,0xcf; jmp __x86_return_thunk; 1: call oops; ud2"
    )
    fixups = (FixupEntry(4, 18, "f", 2), FixupEntry(0, 2, "another", 2))
    assert listing(function, iter(fixups)) == LISTING


def test_the_listing_is_deterministic_and_clean(kernel: ObjectFile) -> None:
    again = read_object(kernel_bytes())
    for one, two in zip(kernel.functions, again.functions, strict=True):
        text = listing(one, kernel.fixups("__ex_table"))
        assert text == listing(two, reversed(again.fixups("__ex_table")))
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert all(line == line.rstrip() for line in text.splitlines())


def test_the_listing_of_a_fixup_outside_instructions_has_offsets() -> None:
    function = code("b800000000c3")
    lines = listing(function, [FixupEntry(0, 3, "f", 1), FixupEntry(2, 5, "f", 2)]).splitlines()
    assert lines[1].endswith("  b8 00 00 00 00                 fixup -> +0x3 type 1")
    assert lines[-1] == "+0x2: fixup -> .L1 type 2"


def test_the_listing_shows_all_fixups_of_an_instruction() -> None:
    function = code("90c3")
    text = listing(function, [FixupEntry(0, 1, "f", 2), FixupEntry(0, 0, "f", 1)])
    assert text.splitlines()[2].endswith("fixup -> .L1 type 1, fixup -> .L2 type 2")


def test_a_change_changes_no_other_lines_of_the_listing() -> None:
    text = "1: dec %edi; jz 2f; {} jmp 1b; call oops; 2: mov (%rdi), %rax; ret"
    before, after = (assembled(text.format(more)) for more in ("", "nop;"))
    fixups = (FixupEntry(len(one.code) - 4, 0, "f", 2) for one in (before, after))
    old, new = (listing(f, [e]).splitlines() for f, e in zip((before, after), fixups, strict=True))
    inserted = [line for line in new[1:] if line not in old]
    assert [line.split() for line in inserted] == [["nop", "90"]]
    new.remove(inserted[0])
    assert new[1:] == old[1:]
    assert new[0] != old[0]


def test_the_distance_of_a_branch_is_its_last_bytes() -> None:
    function = assembled("1: jz 1b; call 1b; .byte 0x0f, 0x84, 0xf3, 0xff, 0xff, 0xff; jmp away")
    rows = [line.split("  ")[-1] for line in listing(function).splitlines()[2:5]]
    assert [row.strip() for row in rows] == ["74 ..", "e8 .. .. .. ..", "0f 84 .. .. .. .."]
    assert "e9 00 00 00 00" in listing(function)


# --- cost


@pytest.mark.parametrize(
    ("text", "stack"),
    [
        ("ret", 0),
        ("push %rbx; pop %rbx; ret", 8),
        ("push %rbx; push %r12; call away; pop %r12; pop %rbx; ret", 16),
        ("sub $24, %rsp; call away; add $24, %rsp; ret", 24),
        ("sub $-128, %rsp; add $-128, %rsp; ret", 0),
        ("add $-128, %rsp; sub $-128, %rsp; ret", 128),
        ("sub $4096, %rsp; add $4096, %rsp; ret", 4096),
        ("lea -40(%rsp), %rsp; lea 40(%rsp), %rsp; ret", 40),
        ("pushfq; popfq; ret", 8),
        ("push %rbp; mov %rsp, %rbp; sub $32, %rsp; leave; push %rax; pop %rax; ret", 40),
        ("push %rbp; mov %rsp, %rbp; push %rbx; lea -8(%rbp), %rsp; pop %rbx; pop %rbp; ret", 16),
        ("push %rbp; lea 0(%rsp), %rbp; sub $64, %rsp; mov %rbp, %rsp; pop %rbp; ret", 72),
        ("push %rbp; mov %rsp, %rbp; and $-64, %rsp; call away; mov %rbp, %rsp; leave; ret", 64),
        ("test %edi, %edi; jz 1f; push %rax; pop %rax; ret; 1: sub $56, %rsp; ud2", 56),
        ("jmp 1f; 2: push %rax; pop %rax; ret; 1: push %rcx; pop %rcx; jmp 2b", 8),
        ("1: push %rax; pop %rax; dec %edi; jnz 1b; ret", 8),
        ("push %rbx; pop %rbx; jmp elsewhere; int3", 8),
        ("jz elsewhere; push %rbx; pop %rbx; ret", 8),
        ("push %rbx; call away", 8),
        ("ret; push %rax; ud2", 0),
        ("push %rbx; jmp *table(,%rdi,8); push %rcx; pop %rcx; 1: pop %rbx; ret", 16),
        ("push %rbx; pop %rbx; jmp *%rax; int3; int3", 8),
        ("push %rbx; jmp *%rax; pop %rbx; ret; sub $16, %rsp; ud2", 24),
        ("xbegin 1f; ret; 1: push %rax; pop %rax; ret", 8),
        ("jmp elsewhere; push %rax; ud2", 0),
        ("push %rbp; mov %rsp, %rbp; leave; sub $16, %rsp; ud2", 16),
        ("jz 1f; push %rbx; jmp *table(,%rdi,8); nop; 1: push %rcx; pop %rcx; ret", 8),
        ("push %rax; call f; pop %rax; ret", 8),
    ],
)
def test_stack_bytes(text: str, stack: int) -> None:
    function = assembled(text)
    assert measure(function) == Cost(len(function.code), len(disassemble(function)), stack)


@pytest.mark.parametrize(
    "text",
    [
        "mov %rax, %rsp; ret",
        "mov %eax, %esp; ret",
        "sub %rax, %rsp; ret",
        "pop %rsp; ret",
        "xchg %rax, %rsp; ret",
        "lea (%rsp,%rax), %rsp; ret",
        "lea 8(%rax), %rsp; ret",
        "lea -8(%rsp), %esp; ret",
        "lea (%rsp,%rax), %rbp; mov %rbp, %rsp; ret",
        "and $-24, %rsp; ret",
        "leave; ret",
        "mov %rbp, %rsp; ret",
        "mov %rsp, %rbp; xor %ebp, %ebp; mov %rbp, %rsp; ret",
        "mov %rsp, %rbp; pop %rbp; mov %rbp, %rsp; ret",
        "enter $16, $0; ret",
        "1: push %rax; jmp 1b",
        "jmp .+3; mov $0, %eax; ret",
        ".byte 0x06; ret",
    ],
)
def test_stack_that_is_not_in_the_code_is_an_error(text: str) -> None:
    with pytest.raises(ObjectError, match=r"^f\+0x"):
        measure(assembled(text))


def test_a_fixup_target_starts_with_the_depth_at_the_faulting_instruction() -> None:
    # 0: push rbx; 1: mov rax, [rdi]; 4: pop rbx; 5: ret; 6: push rax; 7: ud2
    function = code("53 488b07 5b c3 50 0f0b")
    assert measure(function).stack_bytes == 8
    assert measure(function, [FixupEntry(1, 6, "f", 1)]).stack_bytes == 16
    assert measure(function, [FixupEntry(0, 6, "f", 1)]).stack_bytes == 8
    assert measure(function, iter([FixupEntry(1, 6, "g", 1)])).stack_bytes == 8


@pytest.mark.parametrize(("start", "target"), [(2, 6), (1, 8), (1, 99), (6, 8)])
def test_a_fixup_between_instructions_is_an_error(start: int, target: int) -> None:
    with pytest.raises(ObjectError):
        measure(code("53 488b07 5b c3 50 0f0b"), [FixupEntry(start, target, "f", 1)])


def test_padding_against_speculation_counts() -> None:
    text = "define i64 @f() { ret i64 1 }"
    bare = measure(read_object(emit(text)).functions[0])
    padded = measure(read_object(emit(text, "kernel", "+harden-sls-ret")).functions[0])
    assert (padded.bytes, padded.instructions) == (bare.bytes + 1, bare.instructions + 1)


def test_the_cost_of_emitted_wrappers(kernel: ObjectFile) -> None:
    wrapper = function_of(kernel, "wrapper")
    cost = measure(wrapper, kernel.fixups("__ex_table"))
    assert cost == Cost(len(wrapper.code), len(disassemble(wrapper)), 8)


def test_no_code_costs_nothing() -> None:
    assert measure(code("")) == Cost(0, 0, 0)
    assert listing(code("")) == "f: .text, 0 bytes, 0 instructions\n"
