"""What a compilation is doing, said on the terminal while it takes long.

A line at the standard error that is gone at the end, however the compilation ends. There is none
in pipes, and none under make, where the lines of other commands share the terminal.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from seamir.compiler import Progress
from seamir.diagnostics import printable
from seamir.terminal import is_terminal, make_console

DELAY = 0.5  # seconds until the line appears
_INTERVAL = 0.1  # seconds between two looks at what is being done


@contextmanager
def showing_progress() -> Iterator[Progress]:
    """Gives a function to be told of the stages; shows them while the context lasts."""
    if not is_terminal(sys.stderr) or "MAKELEVEL" in os.environ:
        yield lambda stage, done, count: None
        return
    line = _Line()
    thread = threading.Thread(target=line.show)
    thread.start()
    try:
        yield line.tell
    finally:
        line.over.set()
        thread.join()


class _Line:
    """The line: the thread that compiles writes what it says, another one shows it."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._words = ""

    def tell(self, stage: str, done: int, count: int) -> None:
        """Takes a stage, and how many functions of how many are done, 0 of 0 if unknown."""
        self._words = printable(f"{stage} {done}/{count}" if count else stage)

    def show(self) -> None:
        """Shows the line until it is over."""
        if self.over.wait(DELAY):
            return
        with suppress(OSError):  # of a terminal that is gone: the compilation is not
            self._show()

    def _show(self) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn("line"),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
        )
        shown = Progress(
            *columns,
            console=make_console(sys.stderr),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with shown:
            task = shown.add_task(self._words)
            while True:
                shown.update(task, description=self._words, refresh=True)
                if self.over.wait(_INTERVAL):
                    return
