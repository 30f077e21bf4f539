"""What the log of a boot is judged by."""

from __future__ import annotations

import boot as booting
import pytest
from boot import FINAL_LINE, OWN_TAINT, TAINT, Booted, boot
from kernels import Kernel

END = f"[    2.1] {TAINT} {OWN_TAINT}\n[    2.2] {FINAL_LINE}\n"

BAD_NEWS = (
    "Oops: 0000 [#1] PREEMPT SMP NOPTI",
    "BUG: kernel NULL pointer dereference, address: 0000000000000000",
    "WARNING: CPU: 0 PID: 1 at kernel/x.c:1 x+0x1/0x2",
    "Call Trace:",
    "kernel BUG at mm/slub.c:305!",
    "general protection fault, probably for non-canonical address 0xdead",
    "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [insmod:60]",
    "example: Unknown symbol tdh_mng_rd (err -2)",
)


def test_a_good_log() -> None:
    log = f"[    0.0] Linux version 6.1\n{END}[    2.2] reboot: Power down\n"
    assert Booted(log, b"").complaints() == []


@pytest.mark.parametrize("line", BAD_NEWS)
def test_bad_news_in_an_otherwise_good_log(line: str) -> None:
    assert Booted(f"[    2.0] {line}\n{END}", b"").complaints() == [f"[    2.0] {line}"]


def test_a_log_that_ends_too_soon_shows_its_last_lines() -> None:
    lines = [f"line {number}" for number in range(40)]
    heading, *shown = Booted("\n".join(lines), b"").complaints()
    assert heading == "the log does not end as it should; its last lines:"
    assert shown == lines[-12:]


@pytest.mark.parametrize("taint", [0, OWN_TAINT | 1 << 9])
def test_another_taint(taint: int) -> None:
    log = f"{TAINT} {taint}\n{FINAL_LINE}\n"
    assert Booted(log, b"").complaints() == [f"{TAINT} {taint} instead of {OWN_TAINT}"]
    assert Booted(log, b"").complaints(taint) == []


def test_no_taint() -> None:
    assert Booted(FINAL_LINE, b"").complaints() == [f"{TAINT} not said instead of {OWN_TAINT}"]


def test_a_command_that_fails_ends_the_run(kernel: Kernel) -> None:
    booted = boot(kernel, {}, ["echo before", "false", "echo after"])
    assert "before" in booted.log.splitlines()
    assert "after" not in booted.log.splitlines()
    assert "the log does not end as it should; its last lines:" in booted.complaints()


def test_a_kernel_without_modules_is_not_tainted(kernel: Kernel) -> None:
    booted = boot(kernel, {"word": b"a file"}, ["cat /word"], b"shared")
    assert booted.complaints(taint=0) == []
    assert booted.complaints() == [f"{TAINT} 0 instead of {OWN_TAINT}"]
    assert "a file" in booted.log
    assert booted.shared.startswith(b"shared\0")


def test_a_kernel_that_hangs_is_ended(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booting, "TIME_LIMIT", 3)
    complaints = boot(kernel, {}, ["sleep 1000"]).complaints()
    assert complaints[-1] == "qemu was ended after 3 seconds"
