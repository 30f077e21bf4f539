"""The command `seamir`: runs the command line, and says what to do about defects.

Exit statuses: that of the command; 130 when interrupted; 70 for a defect of the compiler.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

INTERRUPTED = 130  # as shells report SIGINT
DEFECT = 70


def run() -> None:
    """Runs the command line and exits; no user sees a traceback."""
    # The process is short and makes few cycles: looking for them takes a twentieth of the time.
    gc.disable()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            # What a terminal's encoding lacks is shown as an escape.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # text streams, both
    status = _run()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):  # what could be said of it was said
                stream.flush()
    # Taking down the interpreter, object by object, would take a tenth of the time.
    os._exit(status)


def _run() -> int:
    try:
        from seamir.cli import main_status

        return main_status()
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except OSError as error:
        # Files have their own errors: what has no name here is the standard output.
        if error.filename is not None:
            return _defect(error)
        _say(f"cannot write the output: {error.strerror}")
        return 1
    except Exception as error:  # the last line of defence
        return _defect(error)


def _defect(error: Exception) -> int:
    _say(f"defect: {type(error).__name__}: {error}{_place(error)}")
    _say(
        "this is a mistake in seamir, not in your file; please report it with the file and the "
        "command line"
    )
    return DEFECT


def _say(text: str) -> None:
    if sys.stderr is not None:
        print(f"seamir: {text}", file=sys.stderr)


def _place(error: BaseException) -> str:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return ""
    frame = traceback.tb_frame
    return f" ({frame.f_globals.get('__name__', '?')}:{traceback.tb_lineno})"


if __name__ == "__main__":
    run()
