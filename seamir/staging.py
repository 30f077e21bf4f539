"""A folder beside the outputs in which new files wait until all of them are complete.

It is locked as long as it is in use. The system releases the lock of a process however it ends,
so whoever writes there next can tell what was left behind, and removes it.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_NAME = re.compile(r"\.seamir-[0-9a-f]{16}\.tmp")


@contextmanager
def staging_folder(folder: str) -> Iterator[str]:
    """Makes a folder within `folder`, so that files can be renamed out of it at once.

    It is removed with all that is still in it. Raises OSError if it cannot be made.
    """
    place, descriptor = _make(folder)
    try:
        yield place
    finally:
        with suppress(OSError):  # what stays is removed by who writes there next
            _remove(place, descriptor)
        os.close(descriptor)


def remove_leftovers(folder: str) -> None:
    """Removes the staging folders of processes that are no more, as far as that is possible."""
    with suppress(OSError), os.scandir(folder) as entries:  # may not be readable
        names = [entry.path for entry in entries if _NAME.fullmatch(entry.name)]
        for name in names:
            _remove_leftover(name)


def _make(folder: str) -> tuple[str, int]:
    while True:
        place = os.path.join(folder, f".seamir-{os.urandom(8).hex()}.tmp")
        os.mkdir(place)
        try:
            descriptor = _lock(place)
        except BaseException:  # an interrupt, too: without its lock the folder is nobody's yet
            with suppress(OSError):  # another process was faster
                os.rmdir(place)
            raise
        if descriptor is not None:
            return place, descriptor


def _lock(place: str) -> int | None:
    """A descriptor that holds the lock; None if another process took the folder for left behind."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with suppress(OSError):  # no locks on this file system: then nothing is ever taken for left
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        if os.path.samestat(os.stat(place), os.fstat(descriptor)):
            return descriptor
    except FileNotFoundError:
        pass
    os.close(descriptor)
    return None


def _remove_leftover(place: str) -> None:
    with suppress(OSError):  # among others that its process holds the lock
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(place, descriptor)
        finally:
            os.close(descriptor)


def _remove(place: str, descriptor: int) -> None:
    for name in os.listdir(descriptor):
        os.unlink(name, dir_fd=descriptor)
    os.rmdir(place)
