"""The shells that completion works in: click's, with scripts of our own.

Each script runs `seamir` with _SEAMIR_COMPLETE=<shell>_complete and the command line in COMP_WORDS
and COMP_CWORD. click's scripts cut values at commas (fish) and put a space after folders, and its
bash takes `seamcall=other` for three words.
"""

from __future__ import annotations

import os
from importlib.resources import files
from typing import Any

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    """The script that makes a shell, one of SHELLS, complete the command `seamir`."""
    return (files("seamir") / "completion" / f"seamir.{shell}").read_text(encoding="utf-8")


class _Bash(BashComplete):
    def source(self) -> str:
        return script("bash")

    def get_completion_args(self) -> tuple[list[str], str]:
        words = split_arg_string(os.environ["COMP_WORDS"])
        current = int(os.environ["COMP_CWORD"])
        if len(words) <= current:
            words.append("")
        joined = _join(words[: current + 1])
        return joined[1:-1], joined[-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        # Bash replaces only what is after the last equals sign.
        _, incomplete = self.get_completion_args()
        before, equals, _ = incomplete.rpartition("=")
        return f"{item.type},{str(item.value).removeprefix(before + equals)}"


class _Zsh(ZshComplete):
    def source(self) -> str:
        return script("zsh")


class _Fish(FishComplete):
    def source(self) -> str:
        return script("fish")


def register_shells() -> None:
    """Makes click use these shells."""
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell)


def _join(words: list[str]) -> list[str]:
    """Puts together what bash takes apart: the equals sign is a word to it."""
    joined: list[str] = []
    open_end = False
    for word in words:
        if joined and (word == "=" or open_end):
            joined[-1] += word
        else:
            joined.append(word)
        open_end = word == "="
    return joined
