"""What the callers in tests/kernel/compat/ do with what their wrappers return.

They call the drop-ins of tdx/linux_compat.seam as KVM called its wrappers in March 2024. Each case
is one call of a caller: the wrappers that it calls in turn, how their attempts end, and what it
makes of that. What the attempts look like is told by the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from errno import EAGAIN, EBUSY, EINVAL, EIO
from pathlib import Path
from random import Random

from execution import Scenario
from fake_module import Play
from manifest_oracle import Json, predict
from native_program import Call

from seamir.compiler import Compilation
from seamir.emulate.interpreter import Run
from seamir.emulate.machine import DATA_START
from seamir.emulate.script import Carry, Completed, Fault, Outcome, Script, Write
from seamir.ir.leaf import Plan
from seamir.model.registers import ALL_BITS

SOURCES = Path(__file__).parent / "kernel" / "compat"
SPURIOUS = "kvm_spurious_fault"

# In the order of the table in calls.c.
CALLERS = (
    "td_create",
    "td_configure_key",
    "td_init",
    "td_vmcs_read",
    "td_vmcs_write",
    "td_page_aug",
    "td_page_drop",
    "td_page_reclaim",
    "td_cache_write_back",
)

SUCCESS = 0
RESUMABLE = 0x8000_0003_0000_0000
OPERAND_INVALID = 0xC000_0100_0000_0000
OPERAND_BUSY = 0x8000_0200_0000_0000
NO_ENTROPY = 0x8000_0203_0000_0000
KEY_GENERATION_FAILED = 0x8000_0800_0000_0000
ENTRY_STATE_INCORRECT = 0xC000_0B0D_0000_0000
RCX, SEPT = 0x01, 0x92  # operands, in the lower half of a status

TDR, TDVPR, PAGE, GPA = 0x1_2345_6000, 0x2_468A_C000, 0xF_EDCB_A000, 0x7_7777_7000
STORED = DATA_START + 0x100  # where a caller stores a word
BEFORE = 0x1111_2222_3333_4444


@dataclass(frozen=True)
class Step:
    """A call of a wrapper, with the values of its arguments, and how its attempts end."""

    symbol: str
    arguments: Sequence[int]
    outcomes: Sequence[Outcome]


@dataclass(frozen=True)
class Case:
    """A call of a caller, what it returns, the word it stores if any, and the functions called."""

    caller: str
    steps: Sequence[Step]
    returned: int
    stored: int | None = None
    called: tuple[str, ...] = ()


def done(status: int, seed: int = 0, **registers: int) -> Completed:
    """A completed attempt; registers that are not given hold what nobody expects."""
    random = Random(f"{status} {seed}")
    names = ("rcx", "rdx", "r8", "r9", "r10", "r11")
    return Completed({name: random.getrandbits(64) for name in names} | {"rax": status} | registers)


def cases() -> Iterator[Case]:
    """Every way through the callers, each once."""
    yield from _creating()
    yield from _fields()
    yield from _pages()
    first, again = ("tdh_phymem_cache_wb", (0,)), ("tdh_phymem_cache_wb", (1,))
    finished, interrupted = Step(*again, [done(SUCCESS)]), Step(*again, [done(RESUMABLE | 5)])
    yield Case("td_cache_write_back", [Step(*first, [done(SUCCESS)])], 0)
    yield Case("td_cache_write_back", [Step(*first, [done(RESUMABLE)]), finished], 0)
    steps = [Step(*first, [done(RESUMABLE)]), interrupted, interrupted, finished]
    yield Case("td_cache_write_back", steps, 0)
    yield Case("td_cache_write_back", [Step(*first, [Carry()])], -EIO)


def _creating() -> Iterator[Case]:
    def create(*outcomes: Outcome) -> list[Step]:
        return [Step("tdh_mng_create", (TDR, 0x8021), outcomes)]

    dry = done(NO_ENTROPY)
    yield Case("td_create", create(done(SUCCESS)), 0)
    yield Case("td_create", create(*[dry] * 9, done(SUCCESS)), 0)
    yield Case("td_create", create(*[dry] * 10), -EAGAIN)
    yield Case("td_create", create(done(OPERAND_BUSY | RCX)), -EIO)
    yield Case("td_create", create(Carry()), -EIO)
    yield Case("td_create", create(Fault(13)), -EIO)
    yield Case("td_create", create(Fault(6)), 0, called=(SPURIOUS,))

    failed = Step("tdh_mng_key_config", (TDR,), [done(KEY_GENERATION_FAILED)])
    configured = Step("tdh_mng_key_config", (TDR,), [done(SUCCESS)])
    yield Case("td_configure_key", [configured], 0)
    yield Case("td_configure_key", [failed, failed, failed, configured], 0)
    refused = Step("tdh_mng_key_config", (TDR,), [dry, done(OPERAND_INVALID)])
    yield Case("td_configure_key", [failed, refused], -EIO)

    def init(*outcomes: Outcome) -> list[Step]:
        return [Step("tdh_mng_init", (TDR, PAGE, STORED), outcomes)]

    yield Case("td_init", init(dry, done(SUCCESS)), 0)
    invalid = done(OPERAND_INVALID | 3, rcx=0x9110_0003_0000_0000)
    yield Case("td_init", init(invalid), -EINVAL, 0x9110_0003_0000_0000)
    yield Case("td_init", init(Carry()), -EIO)


def _fields() -> Iterator[Case]:
    def read(*outcomes: Outcome) -> list[Step]:
        return [Step("tdh_vp_rd", (TDVPR, 0x20_0000_0000_6820, STORED), outcomes)]

    for value in (0, ALL_BITS, 0x8000_0000_7FFF_FFFF):
        yield Case("td_vmcs_read", read(done(SUCCESS, r8=value)), 0, value)
    yield Case("td_vmcs_read", read(*[done(NO_ENTROPY, i) for i in range(10)]), -EIO)
    yield Case("td_vmcs_read", read(Fault(13)), -EIO)
    arguments = (TDVPR, 0x20_0000_0000_6820, 0xAAAA_5555_AAAA_5555, 0xFFFF_0000_FFFF_0000, 0)
    for outcome, returned in ((done(SUCCESS), 0), (done(OPERAND_BUSY), -EIO), (Carry(), -EIO)):
        yield Case("td_vmcs_write", [Step("tdh_vp_wr", arguments, [outcome])], returned)


def _pages() -> Iterator[Case]:
    def aug(*outcomes: Outcome) -> list[Step]:
        return [Step("tdh_mem_page_aug", (TDR, GPA, PAGE, STORED), outcomes)]

    busy, dry = done(OPERAND_BUSY | SEPT), done(NO_ENTROPY)
    yield Case("td_page_aug", aug(done(SUCCESS)), 0)
    yield Case("td_page_aug", aug(*[busy, dry] * 16, done(SUCCESS)), 0)
    yield Case("td_page_aug", aug(*[busy] * 17), -EBUSY)
    # Ten attempts for entropy, and before each time the tree was busy as many.
    yield Case("td_page_aug", aug(*([*[dry] * 9, busy] * 17)), -EBUSY)
    there = done(ENTRY_STATE_INCORRECT | RCX, rcx=0x8000_0000_0ABC_D007)
    yield Case("td_page_aug", aug(busy, there), -EAGAIN, 0x8000_0000_0ABC_D007)
    yield Case("td_page_aug", aug(busy, Fault(6)), 0, called=(SPURIOUS,))

    block = Step("tdh_mem_range_block", (TDR, GPA, 1, 0), [busy, done(SUCCESS)])
    track = Step("tdh_mem_track", (TDR,), [done(SUCCESS)])
    track_busy = Step("tdh_mem_track", (TDR,), [done(OPERAND_BUSY | RCX)])

    def remove(*outcomes: Outcome) -> Step:
        return Step("tdh_mem_page_remove", (TDR, GPA, 1, STORED), outcomes)

    yield Case("td_page_drop", [block, track, remove(done(SUCCESS))], 0)
    removed = remove(dry, busy, dry, done(SUCCESS))
    yield Case("td_page_drop", [block, track_busy, track_busy, track, removed], 0)
    yield Case("td_page_drop", [block, track, remove(*[busy] * 17)], -EBUSY)
    yield Case("td_page_drop", [block, Step("tdh_mem_track", (TDR,), [Carry()])], -EIO)
    failed = Step("tdh_mem_range_block", (TDR, GPA, 1, 0), [Fault(13)])
    yield Case("td_page_drop", [failed], -EIO)

    def reclaim(*outcomes: Outcome) -> Step:
        return Step("tdh_phymem_page_reclaim", (PAGE, STORED), outcomes)

    flush = Step("tdh_phymem_page_wbinvd", (PAGE,), [done(SUCCESS)])
    mine = done(SUCCESS, rdx=TDR)
    yield Case("td_page_reclaim", [reclaim(mine), flush], 0, TDR)
    waiting = [reclaim(done(OPERAND_BUSY | RCX)), reclaim(dry, mine)]
    yield Case("td_page_reclaim", [*waiting, flush], 0, TDR)
    yield Case("td_page_reclaim", [reclaim(done(OPERAND_INVALID | RCX))], -EIO)
    lost = Step("tdh_phymem_page_wbinvd", (PAGE,), [Carry()])
    yield Case("td_page_reclaim", [reclaim(mine), lost], -EIO)


# -- playing them


def callers_play(compilation: Compilation) -> Play:
    """A module of the callers and the drop-ins that makes the calls of all cases."""
    names = ("callers.c", "callers.h", "tdx_ops.h")
    sources = {name: (SOURCES / name).read_text() for name in names}
    sources["program.c"] = (SOURCES / "calls.c").read_text()
    calls = [_call(compilation, case) for case in cases()]
    return Play("play_callers", compilation, calls, sources=sources)


def _call(compilation: Compilation, case: Case) -> Call:
    """A case as a call of a function that takes what its first wrapper takes."""
    plans = {plan.symbol: plan for plan in compilation.plans}
    manifest: Json = json.loads(compilation.outputs["manifest"].text)
    attempts: list[Mapping[str, int]] = []
    for step in case.steps:
        side = Script(step.outcomes)
        attempts += predict(manifest, step.symbol, _named(plans, step), {}, side).attempts
    stored = case.stored
    writes = () if stored is None else (Write(STORED, stored.to_bytes(8, "little")),)
    run = Run(tuple(attempts), case.returned & ALL_BITS, called=case.called, writes=writes)
    first = case.steps[0]
    outcomes = [outcome for step in case.steps for outcome in step.outcomes]
    regions = {STORED: BEFORE.to_bytes(8, "little")}
    scenario = Scenario("as callers do", _named(plans, first), regions, Script(outcomes), 1)
    plan = replace(plans[first.symbol], symbol=case.caller)
    return Call(CALLERS.index(case.caller), plan, scenario, outcomes, run)


def _named(plans: Mapping[str, Plan], step: Step) -> Mapping[str, int]:
    names = [argument.name for argument in plans[step.symbol].arguments]
    return dict(zip(names, step.arguments, strict=True))
