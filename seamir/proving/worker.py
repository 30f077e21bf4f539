"""A process that proves: reads its work and then numbers of plans, and answers with proofs.

It is started by workers.py and speaks pickle with it: the only one that it ever talks to. It ends
when its input does, so it never outlives the process that started it.
"""

from __future__ import annotations

import os
import pickle
import sys


def main() -> None:
    """Answers until there are no more questions."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library may print is no answer
    from seamir.proving.work import Prover

    questions = sys.stdin.buffer
    prover = Prover(pickle.load(questions))  # noqa: S301
    while True:
        try:
            index = pickle.load(questions)  # noqa: S301
        except EOFError:
            return
        pickle.dump(prover.prove(index), answers)
        answers.flush()
