"""Threads that compile different files in different ways make the bytes that one thread makes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import seamir

ROUNDS = 2
SIDE_BY_SIDE = 8

TEXT = 'import "tdx/conduits.seam"; leaf L = {0} via seamcall (a{0}: u64) {{ rcx = a{0}; }}'


@dataclass(frozen=True)
class Job:
    """A file of the library, and options."""

    name: str
    leaves: str
    target: str
    features: tuple[str, ...] = ()
    deliver: str = "pointers"
    prefix: str = ""
    debug: bool = True


JOBS = (
    Job("tdx/host.seam", "TDH.MEM.*", "linux-kernel"),
    Job("tdx/host.seam", "TDH.VP.*", "linux-user", ("+ibt",), "struct", "a_"),
    Job("tdx/guest.seam", "*", "linux-kernel", ("-fixup",), "register"),
    Job("tdx/seamldr.seam", "*", "linux-user", debug=False),
    Job("tdx/tdvmcall.seam", "*", "linux-kernel", ("-rethunk", "-sls")),
    Job("tdx/resume.seam", "*", "linux-user", ("+frame-pointer",), prefix="b_"),
    Job("tdx/connect_rfc.seam", "*", "linux-kernel", ("+frame-pointer", "-ibt")),
    Job("tdx/linux_compat.seam", "*", "linux-user", ("-redzone", "-simd"), debug=False),
)


def make(job: Job, parsed: seamir.ParsedFiles | None) -> dict[str, bytes]:
    """All outputs of a job."""
    program = seamir.load(
        job.name, leaves=[job.leaves], allow_calls=["kvm_spurious_fault"], parsed=parsed
    )
    compilation = seamir.compile(
        program,
        target=job.target,
        features=job.features,
        emit=seamir.list_outputs(target=job.target),
        deliver=job.deliver,
        symbol_prefix=job.prefix,
        debug=job.debug,
    )
    return {kind: output.data for kind, output in compilation.outputs.items()}


def together(work: Callable[[int], object]) -> None:
    """Does work 0 to 7 in threads that begin at once; raises what one of them raises."""
    barrier, errors = threading.Barrier(SIDE_BY_SIDE), list[BaseException]()

    def begin(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException as error:  # which only the thread that waits can raise
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(SIDE_BY_SIDE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


@pytest.mark.parametrize("shared", [False, True], ids=["own files", "shared files"])
def test_eight_threads_make_what_one_makes(shared: bool) -> None:
    alone = [make(job, None) for job in JOBS]
    for _ in range(ROUNDS):
        parsed = seamir.ParsedFiles() if shared else None
        found: dict[int, dict[str, bytes]] = {}
        together(lambda number, p=parsed, f=found: f.update({number: make(JOBS[number], p)}))  # type: ignore[misc]  # untyped defaults
        assert [found[number] for number in range(SIDE_BY_SIDE)] == alone


def test_eight_threads_write_one_folder(tmp_path: Path) -> None:
    """Different outputs, into one folder, each whole; nothing else is left there."""
    made = [
        seamir.compile(seamir.load_text(TEXT.format(n), f"f{n}.seam"), emit=("obj", "header"))
        for n in range(SIDE_BY_SIDE)
    ]
    for _ in range(20):
        together(lambda number: made[number].write(tmp_path))
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
            f"f{n}{output.suffix}": output.data
            for n, compilation in enumerate(made)
            for output in compilation.outputs.values()
        }
        for path in tmp_path.iterdir():
            path.unlink()
