"""The drop-ins for KVM's wrappers of March 2024 against the originals, both in an emulator.

TABLE has what the originals were: prototypes, operands, results and loops. C in our own words is
made of it, in the manner of the originals, compiled and executed beside the drop-ins with the same
random outcomes. What may differ is what the head of tdx/linux_compat.seam says, and is asserted.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

import pytest
from execution import dirty, promised
from tools import run

import seamir
from seamir.emulate.compare import compare
from seamir.emulate.interpreter import interpret
from seamir.emulate.machine import DATA_START, Execution, Machine
from seamir.emulate.script import Carry, Completed, Fault, Memory, Outcome
from seamir.ir.leaf import ArgumentKind, LoadKind, Plan
from seamir.model.registers import ALL_BITS
from seamir.objects.reading import read_object
from seamir.targets import Target

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import compilers

COMPILERS = compilers.available()

# Symbol | leaf | parameters | operands | registers of *out that the leaf returns, or "-" | loop
TABLE = """
tdh_mng_addcx           | 1  | hpa_t tdr, hpa_t addr                            | rcx=addr rdx=tdr                  | -                |
tdh_mem_page_add        | 2  | hpa_t tdr, gpa_t gpa, hpa_t hpa, hpa_t source    | rcx=gpa rdx=tdr r8=hpa r9=source  | rcx rdx          | sept
tdh_mem_sept_add        | 3  | hpa_t tdr, gpa_t gpa, int level, hpa_t page      | rcx=gpa|level rdx=tdr r8=page     | rcx rdx          | sept
tdh_mem_sept_rd         | 25 | hpa_t tdr, gpa_t gpa, int level                  | rcx=gpa|level rdx=tdr             | rcx rdx r8       | sept
tdh_mem_sept_remove     | 30 | hpa_t tdr, gpa_t gpa, int level                  | rcx=gpa|level rdx=tdr             | rcx rdx          | sept
tdh_vp_addcx            | 4  | hpa_t tdvpr, hpa_t addr                          | rcx=addr rdx=tdvpr                | -                |
tdh_mem_page_relocate   | 5  | hpa_t tdr, gpa_t gpa, hpa_t hpa                  | rcx=gpa rdx=tdr r8=hpa            | rcx rdx          | sept
tdh_mem_page_aug        | 6  | hpa_t tdr, gpa_t gpa, hpa_t hpa                  | rcx=gpa rdx=tdr r8=hpa            | rcx rdx          | sept
tdh_mem_range_block     | 7  | hpa_t tdr, gpa_t gpa, int level                  | rcx=gpa|level rdx=tdr             | rcx rdx          | sept
tdh_mng_key_config      | 8  | hpa_t tdr                                        | rcx=tdr                           | -                |
tdh_mng_create          | 9  | hpa_t tdr, int hkid                              | rcx=tdr rdx=hkid                  | -                |
tdh_vp_create           | 10 | hpa_t tdr, hpa_t tdvpr                           | rcx=tdvpr rdx=tdr                 | -                |
tdh_mng_rd              | 11 | hpa_t tdr, u64 field                             | rcx=tdr rdx=field                 | r8               |
tdh_mem_rd              | 12 | hpa_t tdr, gpa_t addr                            | rcx=addr rdx=tdr                  | rcx rdx r8       |
tdh_mem_wr              | 14 | hpa_t tdr, hpa_t addr, u64 val                   | rcx=addr rdx=tdr r8=val           | rcx rdx r8       |
tdh_mem_page_demote     | 15 | hpa_t tdr, gpa_t gpa, int level, hpa_t page      | rcx=gpa|level rdx=tdr r8=page     | rcx rdx r9 r10 r11 | sept
tdh_mem_page_promote    | 23 | hpa_t tdr, gpa_t gpa, int level                  | rcx=gpa|level rdx=tdr             | rcx rdx          | sept
tdh_mr_extend           | 16 | hpa_t tdr, gpa_t gpa                             | rcx=gpa rdx=tdr                   | rcx rdx          |
tdh_mr_finalize         | 17 | hpa_t tdr                                        | rcx=tdr                           | -                |
tdh_vp_flush            | 18 | hpa_t tdvpr                                      | rcx=tdvpr                         | -                |
tdh_mng_vpflushdone     | 19 | hpa_t tdr                                        | rcx=tdr                           | -                |
tdh_mng_key_freeid      | 20 | hpa_t tdr                                        | rcx=tdr                           | -                |
tdh_mng_key_reclaimid   | 27 | hpa_t tdr                                        | rcx=tdr                           | -                |
tdh_mng_init            | 21 | hpa_t tdr, hpa_t td_params                       | rcx=tdr rdx=td_params             | rcx              |
tdh_vp_init             | 22 | hpa_t tdvpr, u64 rcx                             | rcx=tdvpr rdx=rcx                 | -                |
tdh_vp_rd               | 26 | hpa_t tdvpr, u64 field                           | rcx=tdvpr rdx=field               | r8               |
tdh_vp_wr               | 43 | hpa_t tdvpr, u64 field, u64 val, u64 mask        | rcx=tdvpr rdx=field r8=val r9=mask | r8              |
tdh_phymem_page_reclaim | 28 | hpa_t page                                       | rcx=page                          | rcx rdx r8       |
tdh_mem_page_remove     | 29 | hpa_t tdr, gpa_t gpa, int level                  | rcx=gpa|level rdx=tdr             | rcx rdx          | sept
tdh_mem_range_unblock   | 39 | hpa_t tdr, gpa_t gpa, int level                  | rcx=gpa|level rdx=tdr             | rcx rdx          | sept
tdh_sys_lp_shutdown     | 44 |                                                  |                                   | -                |
tdh_mem_track           | 38 | hpa_t tdr                                        | rcx=tdr                           | -                |
tdh_phymem_cache_wb     | 40 | bool resume                                      | rcx=resume                        | -                |
tdh_phymem_page_wbinvd  | 41 | hpa_t page                                       | rcx=page                          | -                |
"""  # noqa: E501 - one row a line

FEW = ("rcx", "rdx", "r8", "r9", "r10", "r11")
MEMBERS = (*FEW, "r12", "r13", "r14", "r15", "rbx", "rdi", "rsi")
# Members that are 0 unless the status is an error and no interruption.
ON_ERROR = {"tdh_mem_page_demote": {"rcx", "rdx"}, "tdh_mem_page_promote": {"rdx"}}

NO_ENTROPY = 0x8000_0203_0000_0000
SEPT_BUSY = 0x8000_0200_0000_0092
VMFAILINVALID = 0x8000_FF00_FFFF_0000
SW_ERROR = 0x8000_FF00_0000_0000
INTERRUPTED = (0x8000_0004, 0x8000_0206)  # upper halves
UD = 6

CORE = """\
/* The loops of the originals, in our own words. */
#define ENTROPY_ATTEMPTS	10
#define FURTHER_FOR_SEPT	16

typedef unsigned long long u64;
typedef u64 hpa_t;
typedef u64 gpa_t;
typedef _Bool bool;

struct tdx_module_args {
	u64 rcx, rdx, r8, r9, r10, r11;
	u64 r12, r13, r14, r15, rbx, rdi, rsi;
};

u64 plain_call(u64 fn, struct tdx_module_args *args);
u64 storing_call(u64 fn, struct tdx_module_args *args);
void kvm_spurious_fault(void);

static inline u64 call(u64 fn, const struct tdx_module_args *in, struct tdx_module_args *out)
{
	struct tdx_module_args copy;
	int left = ENTROPY_ATTEMPTS;
	u64 status;

	do {
		copy = *in;
		if (out)
			*out = *in;
		status = out ? storing_call(fn, out) : plain_call(fn, &copy);
	} while (status == 0x8000020300000000ULL && --left);
	if (status == 0x8000ff0000000006ULL) {
		kvm_spurious_fault();
		return 0;
	}
	return status;
}

static inline u64 call_sept(u64 fn, const struct tdx_module_args *in, struct tdx_module_args *out)
{
	int further = FURTHER_FOR_SEPT;
	u64 status;

	do {
		status = call(fn, in, out);
	} while (status == 0x8000020000000092ULL && further-- > 0);
	return status;
}
"""


@dataclass(frozen=True)
class Original:
    """A row of TABLE. `parameters` are (type, name), `operands` C expressions by register."""

    symbol: str
    leaf: int
    parameters: tuple[tuple[str, str], ...]
    operands: Mapping[str, str]
    returned: frozenset[str]
    has_out: bool
    is_sept: bool

    def code(self) -> str:
        """The wrapper in C."""
        arguments = [f"{kind} {name}" for kind, name in self.parameters]
        arguments += ["struct tdx_module_args *out"] if self.has_out else []
        fields = ", ".join(f".{name} = {value}" for name, value in self.operands.items())
        core = "call_sept" if self.is_sept else "call"
        out = "out" if self.has_out else "(struct tdx_module_args *)0"
        return (
            f"u64 {self.symbol}({', '.join(arguments) or 'void'})\n{{\n"
            f"\tstruct tdx_module_args in = {{ {fields} }};\n\n"
            f"\treturn {core}({self.leaf}, &in, {out});\n}}\n"
        )


@cache
def originals() -> dict[str, Original]:
    """The rows of TABLE by symbol."""
    rows = {}
    for line in TABLE.strip().splitlines():
        symbol, leaf, parameters, operands, returned, loop = f"{line} ".split(" | ")
        words = [entry.split() for entry in parameters.split(",") if entry.strip()]
        rows[symbol.strip()] = Original(
            symbol=symbol.strip(),
            leaf=int(leaf),
            parameters=tuple((kind, name) for kind, name in words),
            operands=dict(pair.split("=") for pair in operands.split()),
            returned=frozenset(returned.split()) - {"-"},
            has_out=returned.strip() != "-",
            is_sept=loop.strip() == "sept",
        )
    return rows


def routine(name: str, target: Target, *, stores: bool) -> str:
    """The assembly that loads six registers from a structure, and may store them back."""
    lines = [".text", f".globl {name}", f".type {name}, @function", f"{name}:"]
    lines += ["movq %rdi, %rax"]
    lines += [f"movq {8 * index}(%rsi), %{register}" for index, register in enumerate(FEW)]
    lines += ["771: .byte 0x66, 0x0f, 0x01, 0xcf", "jc 772f"]
    if stores:
        lines += [f"movq %{register}, {8 * index}(%rsi)" for index, register in enumerate(FEW)]
    lines += ["ret", f"772: movabsq $0x{VMFAILINVALID:x}, %rax", "ret"]
    lines += [f"773: movabsq $0x{SW_ERROR:x}, %rdi", "orq %rdi, %rax", "ret"]
    lines += [f'.pushsection {target.fixup_section}, \\"a\\"', ".balign 4"]
    lines += [".long 771b - .", ".long 773b - .", f".long {target.fixup_type}", ".popsection"]
    lines += [f".size {name}, . - {name}"]
    return "asm(\n" + "\n".join(f'"{line}\\n"' for line in lines) + "\n);\n"


@cache
def compilation() -> seamir.Compilation:
    program = seamir.load("tdx/linux_compat.seam", allow_calls=["kvm_spurious_fault"])
    return seamir.compile(program, emit=("obj", "header"))


@cache
def plans() -> dict[str, Plan]:
    return {plan.symbol: plan for plan in compilation().plans}


@pytest.fixture(scope="module", params=COMPILERS)
def machines(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Machine, Machine]:
    """The originals by a compiler, and the drop-ins."""
    target = compilation().target
    folder = tmp_path_factory.mktemp("originals")
    source, output = folder / "originals.c", folder / "originals.o"
    parts = [CORE, *(original.code() for original in originals().values())]
    parts += [routine("plain_call", target, stores=False)]
    parts += [routine("storing_call", target, stores=True)]
    source.write_text("\n".join(parts))
    command = [*compilers.command(request.param, source, output), "-Wall", "-Wextra", "-Werror"]
    run(*command)
    return Machine(output.read_bytes(), target), Machine(compilation().outputs["obj"].data, target)


# -- what they are


def test_the_functions_are_those_of_the_table() -> None:
    contents = read_object(compilation().outputs["obj"].data)
    assert sorted(function.name for function in contents.functions) == sorted(originals())
    assert len(originals()) == 34


@pytest.mark.parametrize("symbol", originals())
def test_prototype(symbol: str) -> None:
    original = originals()[symbol]
    header = compilation().outputs["header"].text
    found = re.search(rf"^(\w+) {symbol}\(([^)]*)\);", header, re.M)
    assert found is not None and found[1] == "u64"
    parameters = [] if found[2] == "void" else re.split(r",\s+", found[2])
    types = [re.sub(r"\w+$", "", parameter).strip() for parameter in parameters]
    wanted = [{"int": "s32"}.get(kind, kind) for kind, _ in original.parameters]
    assert types == wanted + ["struct tdx_module_args *"] * original.has_out


@pytest.mark.parametrize("symbol", originals())
def test_leaf_and_attempts(symbol: str) -> None:
    original, plan = originals()[symbol], plans()[symbol]
    assert (plan.number, plan.version) == (original.leaf, 0)
    assert plan.bound == (170 if original.is_sept else 10)
    assert [(clause.attempts, clause.resumes) for clause in plan.again] == [
        (9, False),
        *([(16, False)] if original.is_sept else []),
    ]
    places = {delivery.place.register for delivery in plan.deliveries}
    assert places == original.returned
    assert all(delivery.keep and delivery.optional for delivery in plan.deliveries)


def test_who_flushes_is_said() -> None:
    flushed = {
        *("tdh_mng_addcx", "tdh_mem_page_add", "tdh_mem_sept_add", "tdh_vp_addcx"),
        *("tdh_mem_page_relocate", "tdh_mem_page_aug", "tdh_mng_create", "tdh_vp_create"),
        "tdh_mem_page_demote",
    }
    saying = {
        symbol
        for symbol, plan in plans().items()
        if "The caller flushes the cache lines of" in " ".join(plan.documentation.doc.split())
        and "the original did so itself" in " ".join(plan.documentation.doc.split())
    }
    assert saying == flushed


# -- what they do


Step = int | Carry | Fault


@dataclass(frozen=True)
class Side:
    """Ends attempt after attempt as planned; the last step serves all after it.

    All six registers are random, but those in `loaded` stay as they were in some attempts.
    """

    steps: Sequence[Step]
    loaded: frozenset[str]
    seed: int

    def __call__(self, attempt: int, registers: Mapping[str, int]) -> Outcome:
        step = self.steps[min(attempt, len(self.steps) - 1)]
        if not isinstance(step, int):
            return step
        random = Random(self.seed << 20 | attempt)
        values = {name: random.getrandbits(64) for name in FEW}
        for name in sorted(self.loaded):
            if random.random() < 0.3:
                values[name] = registers[name]
        return Completed(values | {"rax": step})


def scripts(random: Random) -> Iterator[tuple[str, list[Step]]]:
    """Sequences of outcomes: all ends, around every bound, and at random."""
    ends: list[Step] = [0, 1, Carry(), Fault(UD), Fault(13), Fault(3)]
    ends += [0xC000_0100_0000_0001, 0x8000_0200_0000_0001, 0x8000_0200_0000_0000, SEPT_BUSY | 1]
    ends += [NO_ENTROPY | 1, 0x8000_0004_0000_0000, 0x8000_0206_0000_0000, 0x0000_0815_0000_0000]
    for end in ends:
        yield f"{end}", [end]
    for count in (1, 8, 9, 10, 11, 15, 16, 17, 18):
        for status in (NO_ENTROPY, SEPT_BUSY):
            yield f"{status:#x} {count} times", [*[status] * count, random.choice(ends)]
    yield "no entropy for ever", [NO_ENTROPY]
    yield "busy for ever", [SEPT_BUSY]
    for entropy in (9, 10):
        for busy in (15, 16, 17):
            steps: list[Step] = [*[NO_ENTROPY] * entropy, SEPT_BUSY] * busy
            yield f"{entropy} and busy, {busy} times", [*steps, *[NO_ENTROPY] * 9, 0]
    for number in range(25):
        steps = [
            random.choice([NO_ENTROPY] * 3 + [SEPT_BUSY] * 2)
            for _ in range(random.randrange(1, 60))
        ]
        yield f"random {number}", [*steps, random.choice(ends)]


def call_of(
    plan: Plan, random: Random, *, out: int | None
) -> tuple[dict[str, int], dict[int, bytes]]:
    """Arguments as the leaf wants them, `out` included, and its memory."""
    arguments: dict[str, int] = {}
    for item in plan.inputs:
        value = promised(item, random)
        # Compilers of C may take for granted what is in the low 32 bits.
        low = value & 0xFFFF_FFFF if item.type.width <= 32 else value
        arguments[item.name] = dirty(value, item.type, random)
        if item.type.width <= 32:
            arguments[item.name] = arguments[item.name] & ~0xFFFF_FFFF | low
    regions: dict[int, bytes] = {}
    if any(argument.kind is not ArgumentKind.VALUE for argument in plan.arguments):
        arguments["out"] = 0 if out is None else out
        if out is not None:
            regions[out] = random.randbytes(8 * len(MEMBERS))
    return arguments, regions


def members(region: bytes, execution: Execution, start: int) -> dict[str, int]:
    """What *out holds after an execution."""
    content = bytearray(region)
    for write in execution.writes:
        at = write.address - start
        content[at : at + len(write.data)] = write.data
    words = [content[at : at + 8] for at in range(0, len(content), 8)]
    return {name: int.from_bytes(word, "little") for name, word in zip(MEMBERS, words, strict=True)}


def loaded_registers(plan: Plan) -> frozenset[str]:
    """Those of the six that the drop-in loads; the original loads all."""
    return frozenset(load.register for load in plan.loads) & frozenset(FEW)


@pytest.mark.parametrize("symbol", originals())
def test_both_do_the_same(machines: tuple[Machine, Machine], symbol: str) -> None:
    plan, row = plans()[symbol], originals()[symbol]
    random = Random(symbol)
    # The original knows of six registers; the other side leaves the others alone here.
    as_original = replace(plan, destroyed=plan.destroyed & {"rax", *FEW})
    for name, steps in scripts(random):
        start = DATA_START + 64 * random.randrange(100)
        for out in (start, None) if row.has_out else (None,):
            arguments, regions = call_of(plan, random, out=out)
            seed = random.getrandbits(32)
            side = Side(steps, loaded_registers(plan), seed)
            before = machines[0].call(as_original, arguments, regions, side, seed=seed)
            after = machines[1].call(plan, arguments, regions, side, seed=seed)
            run = interpret(plan, arguments, Memory(regions), side)
            assert compare(plan, run, after) == [], name
            early = "before the last attempt"  # the originals copied for each attempt
            assert [p for p in before.problems if early not in p] == [], name
            problems = list(differences(plan, before, after))
            assert problems == [], f"{name}: {problems}"
            if out is not None:
                old = members(regions[out], before, out)
                new = members(regions[out], after, out)
                unchanged = members(regions[out], replace(after, writes=()), out)
                end = steps[min(len(after.attempts), len(steps)) - 1]
                wanted = expected_members(row, end, old, unchanged)
                assert new == wanted, name
                passed = {r: before.attempts[-1][r] for r in FEW}
                assert expected_of_original(end, old, passed), name


def differences(plan: Plan, before: Execution, after: Execution) -> Iterator[str]:
    """What has to be the same and is not."""
    if before.status != after.status:
        yield f"status {before.status} and {after.status}"
    if before.called != after.called:
        yield f"calls {before.called} and {after.called}"
    if len(before.attempts) != len(after.attempts):
        yield f"{len(before.attempts)} and {len(after.attempts)} attempts"
    for old, new in zip(before.attempts, after.attempts, strict=False):
        for register in sorted(loaded_registers(plan) | {"rax"}):
            if old[register] != new[register]:
                yield f"{register} is loaded with {old[register]:#x} and {new[register]:#x}"


def expected_members(
    row: Original, end: Step, old: Mapping[str, int], unchanged: Mapping[str, int]
) -> dict[str, int]:
    """What the drop-in leaves in *out, given what the original does."""
    if not isinstance(end, int):
        return dict(unchanged)
    wanted = {name: old[name] if name in row.returned else unchanged[name] for name in MEMBERS}
    if not end >> 62 or end >> 32 in INTERRUPTED:
        wanted |= dict.fromkeys(ON_ERROR.get(row.symbol, ()), 0)
    return wanted


def expected_of_original(end: Step, old: Mapping[str, int], passed: Mapping[str, int]) -> bool:
    """Whether the original left in *out what the head of the description says it did."""
    rest = all(old[name] == 0 for name in MEMBERS if name not in FEW)
    return rest and (isinstance(end, int) or all(old[name] == passed[name] for name in FEW))


def test_most_attempts(machines: tuple[Machine, Machine]) -> None:
    steps: list[Step] = [*([*[NO_ENTROPY] * 9, SEPT_BUSY] * 17), 0]
    for symbol, attempts in (("tdh_mem_page_remove", 170), ("tdh_mem_track", 10)):
        plan = plans()[symbol]
        arguments, regions = call_of(plan, Random(1), out=DATA_START)
        side = Side(steps, frozenset(), 1)
        for machine in machines:
            execution = machine.call(plan, arguments, regions, side, seed=1)
            assert len(execution.attempts) == attempts
            assert execution.status == SEPT_BUSY


def test_bit_60_counts_in_the_original_only(machines: tuple[Machine, Machine]) -> None:
    plan = plans()["tdh_mem_track"]
    arguments, regions = call_of(plan, Random(1), out=None)
    side = Side([NO_ENTROPY | 1 << 60, 0], frozenset(), 1)
    before, after = (machine.call(plan, arguments, regions, side, seed=1) for machine in machines)
    assert (len(before.attempts), before.status) == (1, NO_ENTROPY | 1 << 60)
    assert (len(after.attempts), after.status) == (2, 0)


def test_pages_that_the_originals_did_not_know(machines: tuple[Machine, Machine]) -> None:
    """R12 and R13: 0 when a mapping is split, and the caller's after one is joined."""
    demote, promote = plans()["tdh_mem_page_demote"], plans()["tdh_mem_page_promote"]
    for plan in (demote, promote):
        arguments, regions = call_of(plan, Random(1), out=DATA_START)
        values = dict.fromkeys(("r12", "r13"), ALL_BITS) if plan is promote else {}
        side = Side([0], frozenset(), 1)
        execution = machines[1].call(
            plan,
            arguments,
            regions,
            lambda attempt, registers, side=side, values=values: Completed(  # type: ignore[misc]  # untyped default
                {**side(attempt, registers).registers, **values}
            ),
            seed=1,
        )
        assert execution.problems == ()
        if plan is demote:
            assert [execution.attempts[0][name] for name in ("r12", "r13")] == [0, 0]
            kinds = {load.register: load.kind for load in plan.loads}
            assert kinds["r9"] is kinds["r12"] is LoadKind.OPERAND
