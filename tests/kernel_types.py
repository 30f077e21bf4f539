"""The integers of Linux for headers that are compiled as in a kernel, where there is none."""

from __future__ import annotations

from pathlib import Path

KERNEL_TYPES = """\
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
#ifndef __cplusplus
typedef _Bool bool;
#endif
"""


def write_kernel_types(folder: Path) -> None:
    """Writes linux/types.h into a folder."""
    (folder / "linux").mkdir(exist_ok=True)
    (folder / "linux" / "types.h").write_text(KERNEL_TYPES)
