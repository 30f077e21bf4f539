"""Files made from plans: header, manifest, annotated assembly, and the words they share.

Each module takes leaf-IR plans and a target and returns text; the same input gives the same
bytes. Nothing here knows the syntax tree, the parser or LLVM.

text.py             words of strangers made harmless, and comments laid out
rows.py             the operand table: what fills each register, where each output goes
contract.py         what a plan asks of its caller, in words; header, manifest, assembly and
                    `seamir explain` say it the same way
c_names.py          C spellings of types, and the names that a header has taken
header.py           the header; header_types.py and header_statuses.py are parts of it
manifest.py         the JSON manifest; manifest_tables.py is part of it, and
                    manifest.schema.json is its schema
assembly.py         LLVM's assembly with operand tables and source lines
"""
