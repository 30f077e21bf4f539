"""The C calling conventions, one row each: where a function finds things and what it preserves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Specifier:
    """A macro that declares functions of a convention in C, and what it is unless defined."""

    macro: str
    definition: str


@dataclass(frozen=True, slots=True)
class Convention:
    """What caller and function owe each other.

    `arguments` are the registers of the first arguments; the others lie on the stack, 8 bytes
    each, above the return address and `shadow_bytes` that the function may use as it likes.
    `preserved` are general-purpose registers, and `preserved_vectors` numbers of XMM registers,
    that hold at return what they held at entry. With `register_pairs` two words are returned in
    RAX and RDX. `specifier` declares such a function in C; None where compilers need none.
    `needs_unwind_tables` asks for them for every function that moves RSP.
    """

    name: str
    arguments: tuple[str, ...]
    shadow_bytes: int
    preserved: frozenset[str]
    preserved_vectors: tuple[int, ...]
    register_pairs: bool
    specifier: Specifier | None
    needs_unwind_tables: bool


# System V Application Binary Interface, AMD64 supplement, section 3.2.
SYSTEM_V = Convention(
    name="System V",
    arguments=("rdi", "rsi", "rdx", "rcx", "r8", "r9"),
    shadow_bytes=0,
    preserved=frozenset({"rbx", "rsp", "rbp", "r12", "r13", "r14", "r15"}),
    preserved_vectors=(),
    register_pairs=True,
    specifier=None,
    needs_unwind_tables=False,
)

# Microsoft x64 ABI, which UEFI prescribes: UEFI Specification 2.10, section 2.3.4.
MICROSOFT_X64 = Convention(
    name="Microsoft x64",
    arguments=("rcx", "rdx", "r8", "r9"),
    shadow_bytes=32,
    preserved=frozenset({"rbx", "rsp", "rbp", "rsi", "rdi", "r12", "r13", "r14", "r15"}),
    preserved_vectors=tuple(range(6, 16)),
    register_pairs=False,
    specifier=Specifier("EFIAPI", "__attribute__((ms_abi))"),
    needs_unwind_tables=True,
)
