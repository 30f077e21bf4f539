"""Loads a library of wrappers and plays the script in standard input.

`load.py LIBRARY` lets the library make the calls. With `SYMBOL ARGUMENT...` it calls that function
itself, once; `*ADDRESS` stands for a pointer to an address of the script.
"""

from __future__ import annotations

import ctypes
import sys


def main(library: str, symbol: str = "", *words: str) -> int:
    module = ctypes.CDLL(library)
    if not symbol:
        return int(module.module_main())
    module.module_pointer.restype = ctypes.c_void_p
    function = module[symbol]
    function.restype = ctypes.c_uint64
    module.module_load()
    module.module_begin()
    status = function(*(_argument(module, word) for word in words))
    module.module_status(ctypes.c_uint64(status))
    module.module_end()
    ctypes.CDLL(None).fflush(None)
    return 0


def _argument(module: ctypes.CDLL, word: str) -> ctypes.c_uint64 | ctypes.c_void_p:
    if word.startswith("*"):
        return ctypes.c_void_p(module.module_pointer(ctypes.c_uint64(int(word[1:]))))
    return ctypes.c_uint64(int(word))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
