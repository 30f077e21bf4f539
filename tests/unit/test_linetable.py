"""Mending line tables: line 0 goes, and nothing else in the object changes."""

from __future__ import annotations

import re

import pytest
from llvmlite import binding as llvm

from seamir.llvm import emit
from seamir.objects.linetable import place_all
from seamir.objects.reading import read_object

# A constant that begins a block has no place of its own: the `or` of line 12 uses it.
MODULE = """
target triple = "TRIPLE"
define i64 @first(i64 %a) !dbg !4 {
  %is = icmp eq i64 %a, 5, !dbg !10
  br i1 %is, label %one, label %other, !dbg !10
one:
  call void @away(), !dbg !11
  ret i64 0, !dbg !11
other:
  %b = or i64 %a, -9223372036854775808, !dbg !12
  ret i64 %b, !dbg !12
}
define i64 @second(i64 %a) !dbg !5 {
  ret i64 %a, !dbg !13
}
declare void @away()
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!6, !7}
!0 = distinct !DICompileUnit(language: DW_LANG_C11, file: !1, emissionKind: FullDebug)
!1 = !DIFile(filename: "a.seam", directory: "")
!2 = !DISubroutineType(types: !{})
!4 = distinct !DISubprogram(name: "first", file: !1, line: 9, type: !2, unit: !0, scopeLine: 9, spFlags: DISPFlagDefinition)
!5 = distinct !DISubprogram(name: "second", file: !1, line: 700, type: !2, unit: !0, scopeLine: 700, spFlags: DISPFlagDefinition)
!6 = !{i32 2, !"Debug Info Version", i32 3}
!7 = !{i32 7, !"Dwarf Version", i32 VERSION}
!10 = !DILocation(line: 10, column: 1, scope: !4)
!11 = !DILocation(line: 11, column: 1, scope: !4)
!12 = !DILocation(line: LAST, column: 1, scope: !4)
!13 = !DILocation(line: 701, column: 1, scope: !5)
"""  # noqa: E501 - LLVM IR has no line continuation


def made(triple: str = "x86_64-unknown-linux-gnu", last: int = 12, version: int = 5) -> bytes:
    """What LLVM makes of the module, before it is mended."""
    emit._initialize()
    text = MODULE.replace("TRIPLE", triple).replace("LAST", str(last))
    module = llvm.parse_assembly(text.replace("VERSION", str(version)), llvm.create_context())
    machine = llvm.Target.from_triple(triple).create_target_machine(opt=2)
    return bytes(machine.emit_object(module))


def lines(data: bytes) -> list[list[tuple[int, int]]]:
    """Offset and line of each row of each function."""
    return [
        [(e.offset, e.line) for e in function.lines] for function in read_object(data).functions
    ]


def test_line_0_becomes_the_line_that_follows() -> None:
    before, after = lines(made()), lines(place_all(made()))
    # The call needs a push, and line 12 a constant.
    assert [line for _, line in before[0]] == [10, 0, 11, 0, 12]
    test, push, _, constant, _ = (offset for offset, _ in before[0])
    assert after[0] == [(test, 10), (push, 11), (constant, 12)]
    assert after[1] == before[1]


def test_at_the_end_of_a_function_line_0_becomes_the_line_before() -> None:
    before, after = lines(made(last=0)), lines(place_all(made(last=0)))
    assert [line for _, line in before[0]] == [10, 0, 11, 0]
    test, push, _, _ = (offset for offset, _ in before[0])
    assert after == [[(test, 10), (push, 11)], before[1]]


def test_nothing_else_changes() -> None:
    before, after = made(), place_all(made())
    assert len(before) == len(after)
    one, other = read_object(before), read_object(after)
    for section, mended in zip(one.sections, other.sections, strict=True):
        assert section.relocations == mended.relocations
        if section.name != ".debug_line":
            assert section == mended


def test_what_is_mended_stays_as_it_is() -> None:
    assert place_all(place_all(made())) == place_all(made())


@pytest.mark.parametrize("triple", ["x86_64-unknown-uefi", "x86_64-pc-windows-gnu"])
def test_coff_has_the_same_table(triple: str) -> None:
    """The opcodes of the program are those of ELF, but for addresses that the linker fills in."""
    before, after = made(triple), place_all(made(triple))
    assert len(before) == len(after)
    assert before != after
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    program = re.search(rb"\x00\x09\x02.{8}", before, re.DOTALL)
    assert program is not None
    assert program.end() <= changed[0]
    assert place_all(after) == after


def test_an_object_without_line_table_is_left_alone() -> None:
    emit._initialize()
    text = 'target triple = "x86_64-unknown-linux-gnu"\ndefine void @f() { ret void }'
    module = llvm.parse_assembly(text, llvm.create_context())
    data = bytes(llvm.Target.from_triple(module.triple).create_target_machine().emit_object(module))
    assert place_all(data) == data


def test_what_it_does_not_know_is_a_defect() -> None:
    with pytest.raises(ValueError, match="the ELF header extends past the end"):
        place_all(b"\xcf\xfa\xed\xfe")
    with pytest.raises(ValueError, match="a line table of DWARF 4"):
        place_all(made(version=4))
