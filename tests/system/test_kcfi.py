"""What callers and kernels find before a function: executed calls, clang's bytes, links.

Callers are C that clang hardened with -fsanitize=kcfi: a call through a pointer looks for the type
id before the function and traps if it is another.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

import lto
import pytest
from execution import play, scenarios
from kernel_types import write_kernel_types
from tools import need, need_native, run

import seamir
from seamir.emulate.machine import Machine
from seamir.objects.contents import Function, ObjectFile
from seamir.objects.reading import read_object
from seamir.verify.prover import prove_object

PREFIX = 16  # bytes before a function, with either feature
LEAVES = """
import "tdx/conduits.seam";
import "tdx/types.seam";

leaf TEST.NOTHING = 1 via seamcall ();
leaf TEST.ONE = 2 via seamcall (tdr: hpa) { rcx = tdr; }
leaf TEST.OUTPUTS = 3 via seamcall (level: u32, flag: bool, uuid: u64[2])
    -> (a: u64 = rcx, b: u64 = rdx)
{
    rcx = level;
    rdx = flag;
    {r8, r9} = uuid;
}
leaf TEST.PAIR = 4 via seamcall (tdr: hpa) -> (word: u64 = r8) { rcx = tdr; deliver register; }
leaf TEST.STRUCTURE = 5 via seamcall (tdr: hpa) -> (word: u64 = r8) {
    rcx = tdr;
    deliver struct test_outputs;
}
leaf TEST.QUIET = 6 via seamcall (tdr: hpa) { rcx = tdr; noinstr; }
"""
# By what is switched on, what clang is told to make the same.
FLAGS = {
    ("+kcfi",): ["-fsanitize=kcfi"],
    ("+kcfi", "+patchable-prefix"): ["-fsanitize=kcfi", "-fpatchable-function-entry=11,11"],
    ("+patchable-prefix",): ["-fpatchable-function-entry=16,16"],
    ("+kcfi", "+kcfi-normalize"): [
        "-fsanitize=kcfi",
        "-fsanitize-cfi-icall-experimental-normalize-integers",
    ],
}
VARIANTS = pytest.mark.parametrize("features", FLAGS, ids=" ".join)


def compiled(features: tuple[str, ...], target: str = "linux-kernel") -> seamir.Compilation:
    program = seamir.load_text(LEAVES, "leaves.seam")
    emit = ("obj", "asm", "header", "bitcode")
    return seamir.compile(program, target=target, features=features, emit=emit)


def before(contents: ObjectFile, function: Function) -> bytes:
    """The bytes before a function."""
    section = contents.section(function.section)
    assert section is not None
    assert section.alignment >= PREFIX and function.offset % PREFIX == 0
    return section.data[function.offset - PREFIX : function.offset]


def all_before(data: bytes) -> dict[str, bytes]:
    """The same of every function of an object."""
    contents = read_object(data)
    return {function.name: before(contents, function) for function in contents.functions}


# -- bytes


@VARIANTS
def test_the_bytes_are_those_of_clang(tmp_path: Path, features: tuple[str, ...]) -> None:
    made = compiled(features)
    made.write(tmp_path)
    write_kernel_types(tmp_path)
    header = re.sub(r"/\*.*?\*/", "", made.outputs["header"].text, flags=re.DOTALL)
    prototypes = re.findall(r"(?m)^((?:u64|struct \w+) test_\w+\([^;]*\));", header)
    assert len(prototypes) == len(made.plans)
    bodies = [f"{prototype} {{ __builtin_trap(); }}" for prototype in prototypes]
    (tmp_path / "twins.c").write_text("\n".join(['#include "leaves.h"', *bodies, ""]))
    flags = [*lto.KERNEL_FLAGS, *FLAGS[features], "-D__KERNEL__", "-O2", "-I", str(tmp_path)]
    output = tmp_path / "twins.o"
    run(lto.clang(), f"--target={lto.TRIPLE}", *flags, "-c", tmp_path / "twins.c", "-o", output)
    wanted = all_before(output.read_bytes())
    assert all_before(made.outputs["obj"].data) == wanted
    if "+kcfi" in features:
        assert len(set(wanted.values())) == len(wanted) - 1  # ONE and QUIET are of one type


@VARIANTS
def test_gnu_as_makes_the_same_bytes(tmp_path: Path, features: tuple[str, ...]) -> None:
    need("as")
    made = compiled(features)
    (tmp_path / "made.s").write_text(made.outputs["asm"].text)
    run("as", tmp_path / "made.s", "-o", tmp_path / "made.o")
    data = (tmp_path / "made.o").read_bytes()
    assert all_before(data) == all_before(made.outputs["obj"].data)
    ids = {function.name: function.type_id for function in read_object(data).functions}
    assert ids == {function.name: function.type_id for function in made.object_file.functions}


def test_what_there_is_without_the_features() -> None:
    contents = compiled(()).object_file
    assert [function.type_id for function in contents.functions] == [None] * 6
    assert not any("cfi" in name for name in contents.other_symbols)
    assert contents.section("__patchable_function_entries") is None


# -- calls


NATIVE = """
conduit ask { instruction cpuid "0f a2"; rax = leaf; status none; clobbers rcx, rdx, memory; }
leaf ASK.VENDOR = 0 via ask (subleaf: u64) -> (vendor: u64 = rbx) { rcx = subleaf; }
"""
CALLER = """
#include <stdio.h>
#include "ask.h"

typedef void right(u64, u64 *);
typedef void wrong(u64, s64 *);

int main(int count, char **arguments)
{
	void *volatile wrapper = (void *)ask_vendor;
	u64 vendor = 0;

	if (count == 1)
		((right *)wrapper)(0, &vendor);
	else
		((wrong *)wrapper)(0, (s64 *)&vendor);
	printf("%.4s\\n", (char *)&vendor);
	return 0;
}
"""


@VARIANTS
def test_a_call_by_the_right_type_is_accepted_and_by_another_traps(
    tmp_path: Path, features: tuple[str, ...]
) -> None:
    need_native()
    program = seamir.load_text(NATIVE, "ask.seam", allow_instructions=["0f a2"])
    made = seamir.compile(program, target="linux-user", features=features, emit=("obj", "header"))
    made.write(tmp_path)
    (tmp_path / "caller.c").write_text(CALLER)
    output = tmp_path / "caller"
    # Callers check nothing where wrappers have no ids.
    flags = [*FLAGS[features], "-O2"]
    run(lto.clang(), *flags, tmp_path / "caller.c", tmp_path / "ask.o", "-o", output)
    accepted = run(output).stdout
    assert re.fullmatch(r"\w{4}\n", accepted)  # the vendor of the processor
    if "+kcfi" in features:
        run(output, "wrong", status=-signal.SIGILL)
    else:
        assert run(output, "wrong").stdout == accepted


# -- links


@VARIANTS
def test_bitcode_becomes_the_same_bytes(tmp_path: Path, features: tuple[str, ...]) -> None:
    made = compiled(features)
    made.write(tmp_path)
    output = tmp_path / "linked.o"
    run(lto.lld(), "-r", "--lto-O2", tmp_path / "leaves.bc", "-o", output)
    assert all_before(output.read_bytes()) == all_before(made.outputs["obj"].data)


def test_bitcode_goes_together_with_that_of_a_hardened_caller(tmp_path: Path) -> None:
    """The call through a pointer that LTO sees through is inlined, and the id stays."""
    features = ("+kcfi", "+patchable-prefix")
    made = compiled(features)
    made.write(tmp_path)
    write_kernel_types(tmp_path)
    caller = """
        #include "leaves.h"
        static u64 (*const call)(u64) = test_one;
        u64 through(u64 (*function)(void)) { return function() + call(0x1000); }
    """
    (tmp_path / "caller.c").write_text(caller)
    flags = [*lto.KERNEL_FLAGS, *FLAGS[features], "-D__KERNEL__", "-O2", "-I", str(tmp_path)]
    flags += [f"--target={lto.TRIPLE}", "-flto", "-c"]
    run(lto.clang(), *flags, tmp_path / "caller.c", "-o", tmp_path / "caller.bc")
    inputs = [tmp_path / "caller.bc", tmp_path / "leaves.bc"]
    output = tmp_path / "linked.o"
    run(lto.lld(), "-r", "--lto-O2", *inputs, "-o", output)
    data = output.read_bytes()
    assert all_before(data).items() >= all_before(made.outputs["obj"].data).items()
    through = read_object(data).function("through")
    assert through is not None
    assert bytes.fromhex("660f01cf") in through.code  # it was inlined


@VARIANTS
def test_wrappers_work_and_are_proved_after_ld_r(tmp_path: Path, features: tuple[str, ...]) -> None:
    need("ld")
    made = compiled(features)
    first = seamir.compile(
        seamir.load("tdx/seamldr.seam"), features=features, symbol_prefix="first_"
    )
    for name, one in (("a.o", first), ("b.o", made)):
        (tmp_path / name).write_bytes(one.outputs["obj"].data)
    run("ld", "-r", "-o", tmp_path / "both.o", tmp_path / "a.o", tmp_path / "b.o")
    data = (tmp_path / "both.o").read_bytes()
    contents = read_object(data)
    assert len(contents.functions) == len(made.plans) + len(first.plans)
    assert all_before(data).items() >= all_before(made.outputs["obj"].data).items()
    ids = {function.name: function.type_id for function in made.object_file.functions}
    assert ids.items() <= {one.name: one.type_id for one in contents.functions}.items()
    assert all(proof.is_proved for proof in prove_object(data, made.plans, made.target))
    machine = Machine(data, made.target)
    for plan in made.plans:
        for scenario in scenarios(plan, repeat=1):
            assert play(machine, plan, scenario)[2] == []
