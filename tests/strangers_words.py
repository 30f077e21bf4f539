"""Words that would do something in assembly if they left the comment they stand in."""

# A description may have these.
HOSTILE = {
    "a line marker": '# 1 "/etc/passwd" 2',
    "the end of a comment": "*/ .globl evil /*",
    "a line splice": ".globl evil \\",
    "an expansion": "$(touch evil) `touch evil` %s .globl evil",
    "directives of the preprocessor": '#include "/etc/passwd"',
    "a trigraph": ".globl evil ??/",
    "a comment of one line": "// .globl evil",
    "the middle of a comment": "* .globl evil /",
    "words beyond ASCII": "\u00e9\u4e2d\U0001f600 .globl evil",
}
# A description that has these is refused when it is read.
REFUSED = {
    "control characters": "\x01\x1b[31m\x7f.globl evil",
    "line ends of Unicode": "\x85.globl evil\u2028.globl evil\x0c.globl evil",
    "a carriage return": "\r\t.globl evil",
    "text that runs backwards": "\u202e.globl evil\u2066",
}

# What the name of a file may be.
NAMES = {**HOSTILE, **REFUSED, "a line end": '\n\t.globl evil\n# 1 "x" ', "quotes": '"\\" evil'}
