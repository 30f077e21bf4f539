"""Reading back what was emitted: ELF objects, their disassembly and their cost."""
