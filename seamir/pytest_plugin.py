"""The plugin for pytest: the option --seamir-update-golden and the fixture `seamir_golden`.

With it users keep what seamir makes of their descriptions in files beside their tests. pytest
loads this file in every run, so nothing else of seamir is imported before a test needs it. See
docs/golden.md.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import seamir

_OPTION = "--seamir-update-golden"
_FIXTURE = "seamir_golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that writes golden files rather than comparing them."""
    parser.getgroup("seamir").addoption(
        _OPTION,
        action="store_true",
        help="write what golden tests expect from what seamir makes now",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Starts to collect what the golden tests of this run make and write."""
    config.pluginmanager.register(_Run(config), "seamir-golden-run")


@pytest.fixture
def seamir_update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written, for tests that keep files of their own."""
    return bool(request.config.getoption(_OPTION))


@pytest.fixture
def seamir_golden(request: pytest.FixtureRequest, seamir_update_golden: bool) -> Golden:
    """Compares what seamir makes of a description with the files that keep it; see `Golden`."""
    request.node.stash[_RECORD] = record = _Record(request.node.nodeid)
    owners = request.config.stash.setdefault(_OWNERS, {})
    return Golden(request.path, seamir_update_golden, record, owners)


@dataclass
class _Record:
    """What a golden test has made and written: absolute paths."""

    nodeid: str
    made: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)


_Owners = dict[Path, tuple[str, str]]  # of a file: the test that makes it, and its text
_RECORD = pytest.StashKey[_Record]()
_OWNERS = pytest.StashKey[_Owners]()


class Golden:
    """What the fixture `seamir_golden` gives: a call keeps a description for a target."""

    def __init__(self, test: Path, update: bool, record: _Record, owners: _Owners) -> None:
        self._test = test
        self._update = update
        self._record = record
        self._owners = owners

    def __call__(
        self,
        description: str | os.PathLike[str],
        *,
        target: str | seamir.Target = "linux-kernel",
        features: Iterable[str] = (),
        deliver: str = "pointers",
        symbol_prefix: str = "",
        include: Iterable[str | os.PathLike[str]] = (),
        conduits: Mapping[str, str] | None = None,
        leaves: Iterable[str] = (),
        allow_calls: Iterable[str] = (),
        allow_instructions: Iterable[str] = (),
        keep: str | Sequence[str] = "listing",
        name: str | None = None,
        folder: str | os.PathLike[str] = "golden",
    ) -> seamir.Compilation:
        """Compiles a description and compares what comes of it with FOLDER/NAME.TARGET.SUFFIX.

        `description`, `include` and `folder` are relative to the file of the test; a description
        that is not there is looked for as `seamir.load` does. `keep` is any of "listing", "plan",
        "header", "manifest", "docs". `name` is that of the description if it is not given. The
        other options are those of `seamir.load` and `seamir.compile`.

        Returns the compilation, for further checks. The test fails if a file differs or is
        missing, and on errors of the description; with --seamir-update-golden files are written.
        """
        import seamir
        from seamir.golden.texts import emit_for, texts_of

        beside = self._test.parent
        folders = [include] if isinstance(include, str | os.PathLike) else include
        try:
            emit = emit_for(keep)
            program = seamir.load(
                _shown(beside / description) if (beside / description).exists() else description,
                include=[beside / one for one in folders],
                conduits=conduits,
                leaves=leaves,
                allow_calls=allow_calls,
                allow_instructions=allow_instructions,
            )
            compilation = seamir.compile(
                program,
                target=target,
                features=features,
                emit=emit,
                deliver=deliver,
                symbol_prefix=symbol_prefix,
            )
            texts = texts_of(compilation, keep, name)
            place = Path(os.path.abspath(beside / folder))
            problem = self._settle({place / file: texts[file] for file in texts}, compilation)
        except seamir.SeamError as error:
            problem = str(error)
        if problem:
            pytest.fail(problem, pytrace=False)
        return compilation

    def _settle(self, made: Mapping[Path, str], compilation: seamir.Compilation) -> str:
        """Writes the files, or says how they differ; "" if all is well. Raises SeamError."""
        from seamir.golden.files import compare, write_changed

        self._claim(made)
        if self._update:
            written = write_changed(made, compilation.program.paths)
            self._record.written += map(str, written)
            return ""
        compared = [compare(path, text, _shown(path)) for path, text in made.items()]
        problems = [problem for problem in compared if problem]
        if not problems:
            return ""
        command = f"pytest {shlex.quote(_shown(self._test))} {_OPTION}"
        parts = [_explain(compilation), "\n".join(problems), f"If that is right: {command}"]
        return "\n\n".join(parts)

    def _claim(self, made: Mapping[Path, str]) -> None:
        """Notes who makes a file; raises SeamError if another call makes something else of it."""
        from seamir.diagnostics import fail

        self._record.made += map(str, made)
        for path, text in made.items():
            nodeid, other = self._owners.setdefault(path, (self._record.nodeid, text))
            if other != text:
                message = f"{nodeid} keeps something else in `{_shown(path)}`"
                raise fail("E0808", message, help='give one of the calls a name: name="..."')


class _Run:
    """What the golden tests of a run did, from all processes that ran them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._made: set[Path] = set()
        self._written: set[Path] = set()
        self._partial = bool(config.getoption("lf", False))

    def pytest_deselected(self) -> None:
        self._partial = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        golden = _RECORD in item.stash or _FIXTURE in getattr(item, "fixturenames", ())
        if golden and (report.when == "call" or report.skipped):
            record = item.stash.get(_RECORD, _Record(item.nodeid))
            # Reports travel from the processes of pytest-xdist to the one that prints.
            vars(report)[_FIXTURE] = (record.made, record.written, self._partial or report.skipped)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        made, written, partial = getattr(report, _FIXTURE, ((), (), False))
        self._made.update(map(Path, made))
        self._written.update(map(Path, written))
        self._partial = self._partial or partial

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: int
    ) -> None:
        lines = [f"written: {_shown(path)}" for path in sorted(self._written)]
        if self._made and exitstatus == pytest.ExitCode.OK and not self._partial:
            lines += [f"no test of this run makes {_shown(path)}" for path in self._unused()]
        if lines:
            terminalreporter.section("seamir golden files")
            terminalreporter.write("".join(f"{line}\n" for line in lines))

    def _unused(self) -> list[Path]:
        """Golden files that no test makes, where all tests beside their folder were asked for."""
        from seamir.golden.files import unused

        asked = [
            os.path.abspath(self._config.invocation_params.dir / arg) for arg in self._config.args
        ]
        folders = sorted({path.parent for path in self._made})
        return [
            path
            for folder in folders
            if any(folder.is_relative_to(place) for place in asked)
            for path in unused(folder, self._made)
        ]


def _shown(path: Path) -> str:
    """A path as messages have it: from the current folder if it is below that."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _explain(compilation: seamir.Compilation) -> str:
    """What differs, and which versions made it."""
    from seamir.llvm.emit import llvm_version
    from seamir.version import VERSION

    what = f"{compilation.program.main.name} for {compilation.target.name}"
    return f"{what} is not as it is kept, made by seamir {VERSION} with LLVM {llvm_version()}"
