"""Wrappers called in a running kernel, with a fake TDX module on the other side.

The programs, scripts and reports are those of native_program.py, for another platform:
tests/kernel/module/. Each program is a kernel module that plays its script while it is loaded.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from boot import SHARED_START, Booted, boot
from execution import scenarios
from kernel_modules import Built, build_modules
from kernels import Kernel
from native_program import Call, differences, predict, write_program, write_script

from seamir.compiler import Compilation
from seamir.emulate.script import Fault

TESTS = Path(__file__).parent
PLATFORM = (
    *(TESTS / "native" / name for name in ("module.c", "module.h", "platform.h", "thunk.S")),
    TESTS / "kernel" / "module" / "traps.c",
)
PLAYABLE = (6, 13)  # the exceptions that can be raised in a kernel, by their vectors
_HEADER = struct.Struct("<QQ")  # of a mailbox: words of the script, bytes of the report
_MAILBOX = 40 << 20  # bytes; each play has one


@dataclass(frozen=True)
class Play:
    """A kernel module, and the calls that it makes.

    The compilation has the output "kbuild". `damaged` takes the place of its object. `sources`
    are more files of the module; a program.c among them takes the place of the generated one, which
    reports what the header says of the outputs as well.
    """

    name: str
    compilation: Compilation = field(repr=False)
    calls: Sequence[Call] = field(repr=False)  # thousands
    damaged: bytes | None = field(default=None, repr=False)
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)


def is_playable(call: Call) -> bool:
    """Whether all exceptions of the call can be raised in a kernel."""
    return all(o.vector in PLAYABLE for o in call.outcomes if isinstance(o, Fault))


def calls_of(result: Compilation, repeat: int) -> list[Call]:
    """Calls of all wrappers, of all outcomes that can be played, as the manifest foresees them.

    `repeat` calls are made of each kind.
    """
    manifest = json.loads(result.outputs["manifest"].text)
    made = (
        predict(index, plan, scenario, manifest)
        for index, plan in enumerate(result.plans)
        for scenario in scenarios(plan, repeat=repeat)
    )
    return [call for call in made if is_playable(call)]


def build_plays(kernel: Kernel, folder: Path, plays: Sequence[Play]) -> Built:
    """Builds a module NAME/NAME.ko for each play."""
    for play in plays:
        _write_module(folder / play.name, play)
    (folder / "Kbuild").write_text("".join(f"obj-m += {play.name}/\n" for play in plays))
    return build_modules(kernel, folder)


def _write_module(folder: Path, play: Play) -> None:
    result = play.compilation
    result.write(folder)
    if play.damaged is not None:
        (folder / f"{result.stem}.o_shipped").write_bytes(play.damaged)
    for path in PLATFORM:
        shutil.copy(path, folder)
    program = write_program(result.plans, result.target, f"{result.stem}.h")
    sources = {"program.c": program, **play.sources}
    for name, text in sources.items():
        (folder / name).write_text(text)
    code = [path for path in folder.iterdir() if path.suffix in (".c", ".S")]
    code = [path for path in code if path.stem != result.stem]  # which the fragment names
    objects = sorted(f"{path.stem}.o" for path in code)
    (folder / "Kbuild").write_text(
        f"include $(src)/{result.stem}.kbuild\n"
        f"obj-m := {play.name}.o\n"
        f"{play.name}-y := {' '.join(objects)} $({result.stem}-objs)\n"
    )


@dataclass(frozen=True)
class Played:
    """What a boot with plays came to: the log, and of each play the lines of its report."""

    booted: Booted = field(repr=False)
    reports: Mapping[str, Sequence[str]] = field(repr=False)

    def differences(self, play: Play) -> list[str]:
        """How the calls of a play went otherwise than they should."""
        lines = self.reports[play.name]
        generated = "program.c" not in play.sources
        found = [
            f"{call.plan.symbol}, {call.scenario.name}, {dict(call.scenario.arguments)}: {text}"
            for call, line in zip(play.calls, lines, strict=False)
            for text in differences(call, line, through_header=generated)
        ]
        if len(lines) != len(play.calls):
            found.append(f"{len(lines)} calls were reported and not {len(play.calls)}")
        return found


def boot_plays(kernel: Kernel, folder: Path, plays: Sequence[Play]) -> Played:
    """Boots the kernel and loads the modules of `build_plays`, one after the other."""
    files = {f"{play.name}.ko": (folder / play.name / f"{play.name}.ko") for play in plays}
    scripts = [write_script(play.calls) for play in plays]
    boxes = [_HEADER.pack(len(script) // 8, 0) + script for script in scripts]
    starts = [number * _MAILBOX for number in range(len(plays))]
    commands = [
        f"insmod {play.name}.ko address={SHARED_START + start:#x} size={_MAILBOX:#x}"
        for play, start in zip(plays, starts, strict=True)
    ]
    booted = boot(
        kernel,
        {name: path.read_bytes() for name, path in files.items()},
        commands,
        b"".join(box.ljust(_MAILBOX, b"\0") for box in boxes),
    )
    reports = {
        play.name: _report(booted.shared[start : start + _MAILBOX])
        for play, start in zip(plays, starts, strict=True)
    }
    return Played(booted, reports)


def _report(mailbox: bytes) -> list[str]:
    words, size = _HEADER.unpack_from(mailbox)
    start = _HEADER.size + 8 * words
    return mailbox[start : start + size].decode().splitlines()
