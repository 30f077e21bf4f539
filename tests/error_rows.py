"""What a deliberate error of the compiler is, and how the rows of the table are written.

The name of a row is that of the function or class below the decorator, its documentation says
what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from seamir import compiler
from seamir.ir.leaf import Plan
from seamir.llvm import codegen
from seamir.llvm.function import FunctionWriter


@dataclass(frozen=True)
class CompilerError:
    """One error: `make` takes what is at `place` (a module or class, and a name there) and returns
    what stands in for it.

    `shown_by` is a function of data/compiler_errors.seam whose code is then wrong, for `target`
    with `features` switched; `told` are words that the prover has to find for it.
    """

    name: str
    wrong: str
    shown_by: str
    told: str
    place: tuple[object, str]
    make: Callable[[Any], Any]
    target: str
    features: tuple[str, ...]

    def __str__(self) -> str:
        return self.name

    @contextmanager
    def made(self) -> Iterator[None]:
        """The compiler makes the error."""
        owner, attribute = self.place
        with mock.patch.object(owner, attribute, self.make(getattr(owner, attribute))):
            yield


class Errors(list[CompilerError]):
    """Rows of the table; each decorator adds one."""

    def of_function(
        self,
        place: tuple[object, str],
        shown_by: str,
        told: str,
        target: str = "linux-kernel",
        features: tuple[str, ...] = (),
    ) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
        """A row whose function takes the right function and returns the wrong one."""

        def add(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
            self._add(make, place, make, shown_by, told, target, features)
            return make

        return add

    def of_plan(
        self,
        shown_by: str,
        told: str,
        target: str = "linux-kernel",
        features: tuple[str, ...] = (),
    ) -> Callable[[Callable[[Plan], Plan]], Callable[[Plan], Plan]]:
        """A row whose function makes a wrong plan of the right one, after the last pass."""

        def add(change: Callable[[Plan], Plan]) -> Callable[[Plan], Plan]:
            def make(run_passes: Callable[[Plan], Plan]) -> Callable[[Plan], Plan]:
                return lambda plan: change(run_passes(plan))

            self._add(change, (compiler, "run_passes"), make, shown_by, told, target, features)
            return change

        return add

    def of_writer(
        self,
        shown_by: str,
        told: str,
        target: str = "linux-kernel",
        features: tuple[str, ...] = (),
    ) -> Callable[[type[FunctionWriter]], type[FunctionWriter]]:
        """A row whose class stands in for the one that writes functions."""

        def add(writer: type[FunctionWriter]) -> type[FunctionWriter]:
            place = (codegen, "FunctionWriter")
            self._add(writer, place, lambda _: writer, shown_by, told, target, features)
            return writer

        return add

    def _add(
        self,
        documented: Callable[..., Any],
        place: tuple[object, str],
        make: Callable[[Any], Any],
        shown_by: str,
        told: str,
        target: str,
        features: tuple[str, ...],
    ) -> None:
        words = re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", documented.__name__).lower()
        name, wrong = words.replace("_", " "), documented.__doc__
        assert wrong is not None, name
        self.append(CompilerError(name, wrong, shown_by, told, place, make, target, features))
