"""Processes that prove side by side.

They are new processes of Python and no copies of this one: its threads and locks do not matter, and
the program that called it is not run again. A thread here waits for each of them.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from queue import SimpleQueue
from threading import Thread

from seamir.diagnostics import SeamError, fail
from seamir.proving.work import Result, Work

# What a worker imports comes from where this process has it from.
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from seamir.proving.worker import main; main()"
_ONE_PROCESS = "prove in this process, which takes less memory: --jobs 1, in the API jobs=1"


class WorkerError(Exception):
    """A worker met a defect of seamir; the text is what Python says about it."""


Answer = tuple[int, Result] | SeamError | WorkerError


def prove_in_workers(work: Work, order: Sequence[int], jobs: int) -> Iterator[tuple[int, Result]]:
    """Proves plans by their numbers, in that order, in `jobs` processes; yields what is done.

    Raises SeamError if a process ends before its work does, or cannot be started. However this
    ends, interrupted too, no process is left.
    """
    questions = deque(order)
    answers: SimpleQueue[Answer] = SimpleQueue()
    message = pickle.dumps(work)
    with ExitStack() as stack:
        for _ in range(min(jobs, len(order))):
            worker = _Worker(questions, answers, message)
            stack.callback(worker.end)
            worker.thread.start()
        for _ in order:
            answer = answers.get()
            if isinstance(answer, Exception):
                raise answer
            yield answer


class _Worker:
    """A process, and the thread that asks it one question after the other."""

    def __init__(self, questions: deque[int], answers: SimpleQueue[Answer], message: bytes) -> None:
        self._questions, self._answers, self._message = questions, answers, message
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, as it is closed in `end`
        command = [sys.executable, "-c", _PROGRAM, *sys.path]
        try:
            self._process = subprocess.Popen(  # noqa: S603, as nothing of it is from outside
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                process_group=0,  # an interrupt from the terminal is for this process alone
            )
        except OSError as error:
            self._errors.close()
            text = f"no process can be started to prove in: {error.strerror}"
            raise fail("E0815", text, help=_ONE_PROCESS) from error
        self.thread = Thread(target=self._serve)

    def _serve(self) -> None:
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None and answers is not None
        try:
            questions.write(self._message)
            while True:
                try:
                    index = self._questions.popleft()
                except IndexError:
                    return
                questions.write(pickle.dumps(index))
                questions.flush()
                result = pickle.load(answers)  # noqa: S301
                self._answers.put((index, result))
        except (OSError, EOFError, pickle.UnpicklingError):  # it is no more
            self._answers.put(self._what_happened())

    def _what_happened(self) -> SeamError | WorkerError:
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").rstrip().splitlines()
        if status > 0 and said:
            return WorkerError(said[-1])
        end = f"status {status}"
        if status < 0:
            end = signal.Signals(-status).name
        return fail("E0815", f"a process that proves ended with {end}", help=_ONE_PROCESS)

    def end(self) -> None:
        """Ends the process, whatever it does, and the thread."""
        self._process.kill()
        self._process.wait()
        if self.thread.ident is not None:
            self.thread.join()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream is not None
            stream.close()
