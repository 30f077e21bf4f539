"""A unicorn x86-64 processor with fast access to its registers. Only this file imports unicorn.

unicorn's own calls for several registers take 27 µs, more than a whole wrapper; the arrays that
its C function wants are therefore made once and used for every transfer.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from seamir.diagnostics import fail
from seamir.model.registers import REGISTERS

GENERAL = tuple(REGISTERS)  # all 16
NAMES = (*GENERAL, "rip", "rflags")
RAX, RDX, RSP = GENERAL.index("rax"), GENERAL.index("rdx"), GENERAL.index("rsp")
RIP, RFLAGS = len(GENERAL), len(GENERAL) + 1
VECTORS = 16  # XMM0 to XMM15
VECTOR_SIZE = 16  # bytes of each

InvalidHook = Callable[[], None]
AccessHook = Callable[[bool, int, int, int], None]  # is a write, address, bytes, value written


class Processor:
    """One processor and its memory; mapped ranges stay mapped.

    Without paging, but with addresses of all 64 bits. Raises SeamError if unicorn is missing.
    """

    def __init__(self) -> None:
        try:
            unicorn: Any = import_module("unicorn")
            x86_const: Any = import_module("unicorn.x86_const")
        except ImportError:
            message = "running needs the extra `seamir[emulate]`"
            raise fail("E0804", message, help="pip install 'seamir[emulate]'") from None
        self._unicorn = unicorn
        self._uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self._uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
        ids = [getattr(x86_const, f"UC_X86_REG_{name.upper()}") for name in NAMES]
        self._raised: Exception | None = None
        self._general = _Bank(self._uc, ids, 8)
        vectors = [getattr(x86_const, f"UC_X86_REG_XMM{n}") for n in range(VECTORS)]
        self._vectors = _Bank(self._uc, vectors, VECTOR_SIZE)

    # -- memory

    def map(self, address: int, data: bytes, *, executable: bool = False) -> None:
        """Maps whole pages: code may be read and executed, all else read and written."""
        unicorn = self._unicorn
        rights = unicorn.UC_PROT_EXEC if executable else unicorn.UC_PROT_WRITE
        self._uc.mem_map(address, len(data), unicorn.UC_PROT_READ | rights)
        self._uc.mem_write(address, data)

    def write_memory(self, address: int, data: bytes) -> None:
        """Changes mapped memory, without calling a hook."""
        self._uc.mem_write(address, data)

    # -- registers, in the order of NAMES

    def read_registers(self) -> list[int]:
        """The values of all of NAMES."""
        return self._general.read()

    def write_registers(self, values: Sequence[int]) -> None:
        """Sets all of NAMES; within a hook, execution goes on at the new RIP."""
        self._general.write(values)

    def read_vectors(self) -> list[bytes]:
        """The values of XMM0 to XMM15."""
        data = self._vectors.read_bytes()
        return [data[at : at + VECTOR_SIZE] for at in range(0, len(data), VECTOR_SIZE)]

    def write_vectors(self, values: Sequence[bytes]) -> None:
        """Sets XMM0 to XMM15; nothing without values."""
        if values:
            self._vectors.write_bytes(b"".join(values))

    # -- running

    def on_invalid(self, hook: InvalidHook) -> None:
        """Calls the hook at each instruction that the processor does not know."""

        def invalid(_uc: Any, _data: Any) -> bool:
            try:
                hook()
            except Exception as error:  # unicorn would report its own error instead
                self._raised = error
                self.stop()
            return True

        self._uc.hook_add(self._unicorn.UC_HOOK_INSN_INVALID, invalid)

    def on_interrupt(self, hook: Callable[[int], None]) -> None:
        """Calls the hook with the vector at each interrupt, such as that of int3."""

        def interrupt(_uc: Any, vector: int, _data: Any) -> None:
            hook(vector)

        self._uc.hook_add(self._unicorn.UC_HOOK_INTR, interrupt)

    def on_access(self, first: int, last: int, hook: AccessHook) -> None:
        """Calls the hook at each read and write that begins at addresses `first` to `last`."""
        unicorn = self._unicorn

        def access(_uc: Any, kind: int, address: int, size: int, value: int, _data: Any) -> None:
            is_write = kind == unicorn.UC_MEM_WRITE
            hook(is_write, address, size, value & ((1 << 8 * size) - 1))

        kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        self._uc.hook_add(kinds, access, begin=first, end=last)

    def stop(self) -> None:
        """Within a hook: ends `run`."""
        self._uc.emu_stop()

    def run(self, start: int, until: int, limit: int) -> str | None:
        """Executes from `start` up to `until`, at most `limit` instructions.

        Returns what went wrong, such as an access to memory that is not there; raises what a hook
        raised.
        """
        self._raised = None
        try:
            self._uc.emu_start(start, until, count=limit)
        except self._unicorn.UcError as error:
            return str(error)
        if self._raised is not None:
            raise self._raised
        return None


class _Bank:
    """Registers of one size (bytes) that are transferred together."""

    def __init__(self, uc: Any, ids: Sequence[int], size: int) -> None:
        self._uc = uc
        self._count = len(ids)
        self._ids = (ctypes.c_int * len(ids))(*ids)
        self._words = struct.Struct(f"<{len(ids) * size // 8}Q")
        self._values = ctypes.create_string_buffer(self._words.size)
        first = ctypes.addressof(self._values)
        places = [first + size * index for index in range(len(ids))]
        self._places = (ctypes.c_void_p * len(ids))(*places)

    def read(self) -> list[int]:
        return list(self._words.unpack_from(self.read_bytes()))

    def read_bytes(self) -> bytes:
        self._check(self._uc._do_reg_read_batch(self._ids, self._places, self._count))
        return self._values.raw[: self._words.size]

    def write(self, values: Sequence[int]) -> None:
        self._words.pack_into(self._values, 0, *values)
        self._check(self._uc._do_reg_write_batch(self._ids, self._places, self._count))

    def write_bytes(self, data: bytes) -> None:
        ctypes.memmove(self._values, data, self._words.size)
        self._check(self._uc._do_reg_write_batch(self._ids, self._places, self._count))

    def _check(self, status: int) -> None:
        if status:
            raise RuntimeError(f"unicorn cannot transfer registers: error {status}")
