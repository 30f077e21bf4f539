"""What a kernel module needs beside the object: a Makefile fragment, and a C file that exports.

Takes plans and returns text for people who build modules with Kbuild. Names of files are such that
make takes them for names and no more: the compiler has seen to that.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamir.emit.text import block_comment, origin, wrap
from seamir.exports import Export
from seamir.ir.leaf import Plan

_SHIPPED = """\

# The object is copied, since Kbuild looks for the command that made it, and objtool checks it as
# it does what is compiled.
targets += {stem}.o

quiet_cmd_seamir_object = SHIPPED $@
      cmd_seamir_object = cat $< > $@$(cmd_objtool)

$(obj)/{stem}.o: $(src)/{stem}.o_shipped FORCE
	$(call if_changed,seamir_object)
"""

_NAMESPACE = """\
/* Since Linux 6.13 the name is a string. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define SEAMIR_EXPORT(function)	EXPORT_SYMBOL_NS_GPL(function, "{names}")
#else
#define SEAMIR_EXPORT(function)	EXPORT_SYMBOL_NS_GPL(function, {names})
#endif
"""

_MODULES = """\
#ifndef EXPORT_SYMBOL_FOR_MODULES
#error "this kernel cannot export to modules by name: choose another --export"
#define EXPORT_SYMBOL_FOR_MODULES(symbol, modules)
#endif
#define SEAMIR_EXPORT(function)	EXPORT_SYMBOL_FOR_MODULES(function, "{names}")
"""

# By the kind of export: further headers, what precedes the exports, and the macro of each.
_MACROS = {
    "gpl": ((), "", "EXPORT_SYMBOL_GPL"),
    "namespace": (("linux/version.h",), _NAMESPACE, "SEAMIR_EXPORT"),
    "modules": ((), _MODULES, "SEAMIR_EXPORT"),
}


def emit_fragment(stem: str, source_name: str, export: Export, *, shipped: bool) -> str:
    """The fragment of a Makefile that builds STEM.o and exports its functions.

    `shipped`: the object is there as STEM.o_shipped; otherwise Kbuild assembles STEM.S.
    """
    objects = [f"{stem}.o", *([f"{stem}_exports.o"] if export.kind != "none" else [])]
    lines = [
        *(line for block in origin(source_name) for line in block),
        "",
        "For the Kbuild file of the module that gets the functions:",
        "",
        f"\tinclude $(src)/{stem}.kbuild",
        "\tobj-m := example.o",
        f"\texample-y := main.o $({stem}-objs)",
        "",
        *wrap(f"No module and no C file beside this one may be called {stem}."),
    ]
    text = "".join(f"{_comment(line)}\n" for line in lines)
    text += f"\n{stem}-objs := {' '.join(objects)}\n"
    return text + (_SHIPPED.format(stem=stem) if shipped else "")


def _comment(line: str) -> str:
    return f"#{line}" if line.startswith("\t") else f"# {line}".rstrip()


def emit_exports(plans: Sequence[Plan], stem: str, source_name: str, export: Export) -> str:
    """The C file that exports the functions: with their prototypes, so that each has a CRC."""
    headers, before, macro = _MACROS[export.kind]
    about = (
        f"Exports the functions of {stem}.o. A compiler sees their prototypes here, which the "
        "CRCs of CONFIG_MODVERSIONS are made from."
    )
    comment = block_comment([*origin(source_name), wrap(about)])
    includes = [f"#include <{name}>" for name in ("linux/export.h", *headers)]
    blocks = [
        "\n".join([*comment, "", *includes, "", f'#include "{stem}.h"']) + "\n",
        before.format(names=export.names),
        "".join(f"{macro}({plan.symbol});\n" for plan in plans),
    ]
    return "\n".join(filter(None, blocks))
