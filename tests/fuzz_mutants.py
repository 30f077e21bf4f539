"""The library with mistakes through every command: errors have places, and nothing else comes out.

    python tests/fuzz_mutants.py --mutants 10000 --record tests/data/fuzz_mutants.json

Each mutant stands in for its file of the library, so that what imports the file meets it too. What
is still a valid description is compiled, executed, and held against its plan. `--show` writes the
text of one.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from command_line import outcome_of
from fuzz_leaves import switched, versions
from mutants import IMPORTS, Mutant, library, mutant
from random_runs import problems_of

import seamir
from seamir.compiler import DELIVERIES

ALLOWED = ("--allow-call", "kvm_spurious_fault")
SECONDS = 120  # of one command; far more than any takes
CALLS = 2  # of each function
STATUSES = (0, 1, 2)


@dataclass
class Tally:
    """What came of some mutants."""

    mutants: int = 0
    valid: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class TooLongError(Exception):
    """A command did not end."""


@contextmanager
def limited() -> Iterator[None]:
    """Raises TooLongError in what does not end."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Trial:
    """One mutant in a folder, through the commands."""

    def __init__(self, seed: int, folder: Path, tally: Tally) -> None:
        self._random = Random(f"trial {seed}")
        self._seed, self._folder, self._tally = seed, folder, tally
        self._mutant: Mutant = mutant(seed)

    def run(self) -> None:
        """Runs it all and adds what came of it to the tally."""
        path = self._folder / self._mutant.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._mutant.data)
        self._tally.mutants += 1
        try:
            status, text = self._command("check", str(path), "--json")
            if status == 1:
                self._tally.codes.update(entry["code"] for entry in self._entries(text))
                return
            if status == 0:
                self._tally.valid += 1
                self._use(path)
        finally:
            path.unlink()

    def _entries(self, text: str) -> list[dict[str, str]]:
        entries: list[dict[str, str]] = json.loads(text)
        for entry in entries:
            if entry["severity"] == "error" and entry["place"] is None:
                self._problem(f"no place: {entry['message']}")
        if not entries:
            self._problem("status 1 without an error")
        return entries

    def _use(self, path: Path) -> None:
        random = self._random
        target = random.choice(list(seamir.TARGETS.values()))
        options = [f"--feature={feature}" for feature in switched(target, random)]
        options += ["--target", target.name, "--deliver", random.choice(DELIVERIES)]
        kinds = ",".join(seamir.list_outputs(target=target))
        self._command("compile", str(path), "-o", str(self._folder), "--emit", kinds, *options)
        self._command("list", str(path), random.choice(["--json", "--writes=r8", "--effect=none"]))
        for importer in self._importers():
            glob = random.choice(["*A*", "*B*", "*RD*", "*.VP.*", "nothing"])
            self._command("list", importer, "-I", str(self._folder), "--leaf", glob)
        program = seamir.load(path, allow_calls=ALLOWED[1:])
        try:
            made = seamir.compile(program, target=target)
        except seamir.SeamError as error:
            self._tally.codes.update(entry.code for entry in error.diagnostics)
            return
        if len(made.plans) > 20:
            return
        self._command("explain", str(path), random.choice(made.symbols), *options)
        arguments = [f"{item.name}={random.choice('0159')}" for item in made.plans[0].arguments]
        self._command("run", str(path), made.symbols[0], *arguments, *options)
        for problem in problems_of(made, self._seed, CALLS, self._tally.outcomes):
            self._problem(problem)

    def _importers(self) -> Sequence[str]:
        """A file of the library that imports the mutant, if there is one."""
        wanted = f'import "{self._mutant.name}";\n'
        found = [name for name, text in library().items() if wanted in IMPORTS.findall(text)]
        return [self._random.choice(found)] if found else []

    def _command(self, *words: str) -> tuple[int, str]:
        """Runs a command; its status and output."""
        self._tally.commands[words[0]] += 1
        try:
            with limited():
                done = outcome_of(*words, *ALLOWED)
        except Exception as error:  # whichever: it is told with the command
            self._problem(f"{words}: {type(error).__name__}: {error}")
            return 70, ""
        if done.returncode not in STATUSES or not _is_readable(done.stderr):
            self._problem(f"{words}: status {done.returncode}: {done.stderr!r}")
        return done.returncode, done.stdout

    def _problem(self, text: str) -> None:
        self._tally.problems.append(f"mutant {self._seed}: {text}")


def _is_readable(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n")) and "Traceback" not in text


def main() -> int:
    """Runs the mutants; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--mutants", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--record", type=Path, help="where the counts go, as JSON")
    parser.add_argument("--show", type=int, metavar="SEED", help="write this mutant, and no more")
    options = parser.parse_args()
    if options.show is not None:
        sys.stdout.buffer.write(mutant(options.show).data)
        return 0
    tally, last = Tally(), options.seed + options.mutants
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seed, last):
            shown = len(tally.problems)
            Trial(seed, Path(folder), tally).run()
            print("\n".join(tally.problems[shown:]) + "\n" * (shown < len(tally.problems)), end="")
            if (seed + 1) % 100 == 0:
                print(f"{tally.mutants} mutants, {len(tally.problems)} problems", flush=True)
    record = {
        "seeds": f"{options.seed} to {last - 1}",
        "mutants": tally.mutants,
        "valid": tally.valid,
        "commands": dict(tally.commands),
        **dict(sorted(tally.outcomes.items())),
        "problems": len(tally.problems),
        "versions": versions(),
        "processor seconds": round(time.process_time()),
        "errors": dict(sorted(tally.codes.items())),
    }
    text = json.dumps(record, indent=2) + "\n"
    if options.record:
        options.record.write_text(text, encoding="utf-8")
    print(text, end="")
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())
