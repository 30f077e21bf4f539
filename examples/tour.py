"""A first look: the wrappers of manifests as tables, then one of them at work.

usage: python examples/tour.py build/host.json [MANIFEST...]

The last part compiles tdx/host.seam for user space, executes tdh_mem_page_remove in an emulator
and plays the TDX module's part: once with success, once without a module.
"""

import json
import sys
from pathlib import Path
from typing import Any

import seamir
from seamir.emulate.machine import DATA_START, Execution, Machine
from seamir.emulate.script import Carry, Completed, Script
from seamir.listing import align

SHOWN = "tdh_mem_page_remove"


def main() -> None:
    """Prints the tables, what they have together, and the two calls."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    manifests = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]
    for manifest in manifests:
        print(wrapper_table(manifest))
    print(totals(manifests))
    print(one_call())


def wrapper_table(manifest: dict[str, Any]) -> str:
    """One line a wrapper: what goes into which register, what comes back, and what it costs."""
    rows = [("WRAPPER", "LEAF", "VERSION", "BYTES", "INSTRUCTIONS", "STACK", "IN -> OUT")]
    for wrapper in manifest["wrappers"]:
        loads = [
            f"{load['register']}={load['value']['text']}"
            for load in wrapper["loads"]
            if load["kind"] == "operand"
        ]
        outputs = [f"{output['name']}={output['register']}" for output in wrapper["outputs"]]
        cost = wrapper["cost"]
        rows.append(
            (
                wrapper["symbol"],
                wrapper["leaf"],
                str(wrapper["version"]),
                str(cost["bytes"]),
                str(cost["instructions"]),
                str(cost["stack_bytes"]),
                _short(loads) + (f" -> {_short(outputs)}" if outputs else ""),
            )
        )
    return align(rows, right=(2, 3, 4, 5))


def _short(words: list[str]) -> str:
    """The first few words of a list."""
    return ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "")


def totals(manifests: list[dict[str, Any]]) -> str:
    """How many leaves and versions have how many wrappers, and their size."""
    wrappers = [wrapper for manifest in manifests for wrapper in manifest["wrappers"]]
    versions = {(wrapper["leaf"], wrapper["version"]) for wrapper in wrappers}
    leaves = {leaf for leaf, _ in versions}
    size = sum(wrapper["cost"]["bytes"] for wrapper in wrappers)
    return (
        f"{len(leaves)} leaves in {len(versions)} versions, {len(wrappers)} wrappers for "
        f"{manifests[0]['target']['name']}, {size} bytes of code.\n"
    )


def one_call() -> str:
    """Executes a wrapper against an emulated TDX module and shows the registers."""
    program = seamir.load("tdx/host.seam", leaves=[SHOWN])
    result = seamir.compile(program, target="linux-user")
    plan = result.plans[0]
    machine = Machine(result.outputs["obj"].data, result.target)
    first, second = DATA_START, DATA_START + 8
    arguments = {
        "tdr": 0x1234000,
        "gpa": 0x5678_9000,
        "level": 0,
        "ext_err1": first,
        "ext_err2": second,
    }
    lines = [f"{SHOWN}(tdr=0x1234000, gpa=0x56789000, level=0, &ext_err1, &ext_err2)"]
    for title, outcome in (
        ("the module removes the page", Completed({"rax": 0, "rcx": 0xABC000, "rdx": 0})),
        ("there is no module", Carry()),
    ):
        memory = {first: b"\xff" * 16}
        execution = machine.call(plan, arguments, memory, Script([outcome]))
        lines += ["", f"{title}:", *_show(execution, first)]
    return "\n".join(lines) + "\n"


def _show(execution: Execution, first: int) -> list[str]:
    """The registers at the instruction, and what the caller got."""
    registers = execution.attempts[0]
    loaded = ", ".join(f"{name}={registers[name]:#x}" for name in ("rax", "rcx", "rdx"))
    stored = {write.address: int.from_bytes(write.data, "little") for write in execution.writes}
    return [
        f"  at the SEAMCALL: {loaded}",
        f"  returned:        {execution.status:#x}",
        f"  ext_err1:        {stored[first]:#x}",
        f"  ext_err2:        {stored[first + 8]:#x}",
        f"  callee-saved registers, RSP and DF: {execution.problems or 'as at entry'}",
    ]


if __name__ == "__main__":
    main()
