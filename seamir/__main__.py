"""The command `seamir`: nothing but the command line and what to do about defects."""

from __future__ import annotations

import sys


def run() -> None:
    """Runs the command line; a defect of the compiler exits with 70 and says where to report it."""
    from seamir.cli import main

    try:
        main(prog_name="seamir")
    except Exception as error:  # the last line of defence: no user sees a traceback
        place = _place(error)
        print(f"seamir: defect: {type(error).__name__}: {error}{place}", file=sys.stderr)
        print(
            "seamir: this is a mistake in seamir, not in your file; please report it with the "
            "file and the command line",
            file=sys.stderr,
        )
        sys.exit(70)


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
