"""Proofs that were made before, in a folder: a file for each, by the hash of all it depends on.

Only what was proved is kept. A file that is damaged counts as not there, and the folder may be
deleted at any time.
"""

from __future__ import annotations

import json
import os
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from seamir.diagnostics import Diagnostic, SeamError
from seamir.ir.leaf import Plan
from seamir.proving.alone import alone
from seamir.proving.keys import Meaning, content_key, proof_key
from seamir.proving.work import Result
from seamir.targets import Target
from seamir.verify.code import LaidOut
from seamir.verify.result import Proof, Verdict
from seamir.writing import write_files

_WORDS = ("symbol", "leaf", "paths", "obligations", "queries", "instructions")


class Store:
    """The kept proofs of one object; a `folder` of None keeps nothing."""

    def __init__(self, folder: str | os.PathLike[str] | None, laid_out: LaidOut, target: Target):
        self._folder = None if folder is None else Path(folder)
        self._refused = None if self._folder is None else _refuse(self._folder)
        if self._refused is not None:
            self._folder = None
        self._laid_out, self._target = laid_out, target
        self._meaning = Meaning()
        self._new: dict[Path, bytes] = {}

    def find(self, plan: Plan) -> Proof | None:
        """The proof that is kept for a plan, of its function alone or in this object."""
        if self._folder is None:
            return None
        return self._read(plan, is_alone=True) or self._read(plan, is_alone=False)

    def add(self, plan: Plan, result: Result) -> None:
        """Takes a result to be kept, if it is a proof."""
        key = self._key(plan, is_alone=result.is_alone)
        if self._folder is not None and key is not None and result.proof.is_proved:
            self._new[_place(self._folder, key)] = _content(key, result.proof)

    def write(self) -> tuple[Diagnostic, ...]:
        """Writes what was added; returns a warning if that cannot be done."""
        if self._refused is not None:
            return (_warning(self._refused),)
        try:
            write_files(self._new)
        except SeamError as error:
            return (_warning(error.diagnostics[0].message),)
        return ()

    def _read(self, plan: Plan, *, is_alone: bool) -> Proof | None:
        key = self._key(plan, is_alone=is_alone)
        if self._folder is None or key is None:
            return None
        try:
            content = _place(self._folder, key).read_bytes()
        except OSError:
            return None
        return _proof(key, content)

    def _key(self, plan: Plan, *, is_alone: bool) -> str | None:
        """What a proof is kept under; None if the function does not stand alone."""
        if not is_alone:
            return proof_key(self._content, plan, self._target, self._meaning)
        reduced = alone(self._laid_out, plan, self._target)
        if reduced is None:
            return None
        return proof_key(content_key(reduced), plan, self._target, self._meaning)

    @cached_property
    def _content(self) -> bytes:
        return content_key(self._laid_out)


def _refuse(folder: Path) -> str | None:
    """Makes the folder; why it cannot be used, None if it can."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"cannot make `{folder}`: {reason}"
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        return f"others can put proofs into `{folder}`"
    return None


def _warning(reason: str) -> Diagnostic:
    message = f"proofs are not kept for the next time: {reason}"
    help = "name another folder, or keep none: --no-cache, in the API cache=None"
    return Diagnostic("W0811", message, help=help)


def _proof(key: str, content: bytes) -> Proof | None:
    """What a file tells of; None if it is damaged."""
    sum_of_text, _, text = content.partition(b"\n")
    if sum_of_text != _sum(key, text):
        return None
    data = json.loads(text)
    return Proof(
        verdict=Verdict.PROVED,
        **{word: data[word] for word in _WORDS},
        sites=tuple(data["sites"]),
        unreachable=tuple((offset, reason) for offset, reason in data["unreachable"]),
        assumptions=tuple(data["assumptions"]),
        is_cached=True,
    )


def _place(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"


def _content(key: str, proof: Proof) -> bytes:
    data = {word: getattr(proof, word) for word in _WORDS}
    data |= {"sites": proof.sites, "unreachable": proof.unreachable}
    text = json.dumps({**data, "assumptions": proof.assumptions}).encode()
    return _sum(key, text) + b"\n" + text


def _sum(key: str, text: bytes) -> bytes:
    return sha256(key.encode() + text).hexdigest().encode()
