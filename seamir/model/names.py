"""Names that generated C and C++ cannot use, and those that are reserved."""

from __future__ import annotations

from seamir.diagnostics import Diagnostics
from seamir.model.registers import REGISTERS
from seamir.syntax import ast

# C11, C++17 and the names that GNU compilers predefine or every header here relies on.
C_KEYWORDS = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if
    inline int long register restrict return short signed sizeof static struct switch typedef
    union unsigned void volatile while _Alignas _Alignof _Atomic _Bool _Complex _Generic
    _Imaginary _Noreturn _Static_assert _Thread_local asm typeof alignas alignof and and_eq
    bitand bitor bool catch char16_t char32_t class compl const_cast constexpr decltype delete
    dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq
    nullptr operator or or_eq private protected public reinterpret_cast static_assert
    static_cast template this thread_local throw true try typeid typename using virtual
    wchar_t xor xor_eq NULL linux unix i386 u8 u16 u32 u64 s8 s16 s32 s64
    """.split()
)

# Macros without arguments of Linux's headers and of its assembly.
LINUX_MACROS = frozenset("current fallthrough noinline notrace asmlinkage ENDBR RET".split())


def check_c_name(
    name: ast.Name | ast.Text, what: str, sink: Diagnostics, *, ours: bool = True
) -> bool:
    """Reports E0209 if `name` cannot be an identifier of C and C++.

    If it is `ours` to choose, it cannot be one that C reserves for implementations either. Returns
    whether it can.
    """
    text = name.text if isinstance(name, ast.Name) else name.value
    if text in C_KEYWORDS:
        message = f"`{text}` is a word of C or C++, so it cannot be the name of {what}"
        sink.report("E0209", message, name.span, help=f"call it `{text}_` or say what it means")
    elif text in LINUX_MACROS:
        message = f"`{text}` is a macro of Linux's headers, so it cannot be the name of {what}"
        sink.report("E0209", message, name.span, help=f"call it `{text}_` or say what it means")
    elif ours and (text.startswith("__") or (text[:1] == "_" and text[1:2].isupper())):
        message = f"C reserves `{text}`, so it cannot be the name of {what}"
        sink.report("E0209", message, name.span, help="names with leading underscores are reserved")
    else:
        return True
    return False


def check_not_register(name: ast.Name, what: str, sink: Diagnostics) -> None:
    """Reports E0213 if `name` is a register's: nobody could tell `rcx = rdx;` from a copy."""
    if name.text in REGISTERS:
        message = f"`{name.text}` is a register, so it cannot be the name of {what}"
        sink.report("E0213", message, name.span, help="say what the value means")
