"""Files that are no descriptions: each ends with located diagnostics, soon, and with nothing else.

Each test says which code, line and column; `rejected` sees to it that nothing but SeamError comes
out and that nothing of the file reaches a terminal raw.
"""

from __future__ import annotations

import os
import socket
import time
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest

import seamir
from seamir.diagnostics import MAXIMUM_MESSAGE, render
from seamir.syntax import files

MIB = 1 << 20
SECONDS = 20  # far more than anything here takes

Place = tuple[str, int, int]


def rejected(path: Path | str, **options: Iterable[str]) -> tuple[seamir.Diagnostic, ...]:
    """What is said about a file that cannot be loaded, or not be checked."""
    begin = time.monotonic()
    found: tuple[seamir.Diagnostic, ...]
    try:
        found = seamir.check(seamir.load(path, include=tuple(options.get("include", ()))))
    except seamir.SeamError as error:
        found = error.diagnostics
    assert found, "the file was accepted"
    assert time.monotonic() - begin < SECONDS
    shown(found)
    return found


def shown(diagnostics: Iterable[seamir.Diagnostic]) -> str:
    """The text of diagnostics, which a terminal can show."""
    text = render(diagnostics)
    wrong = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert wrong <= {"\n"}
    return text


def places(diagnostics: Iterable[seamir.Diagnostic]) -> list[Place]:
    """Code, line and column of each; 0 for those without a place."""
    return [(d.code, d.span.line, d.span.column) if d.span else (d.code, 0, 0) for d in diagnostics]


def write(path: Path, data: bytes | str) -> Path:
    """A file with these bytes or this text."""
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return path


# -- bytes


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"\xff\xfe", 1, 1),  # UTF-16
        (b"const A = 1;\n// caf\xe9\n", 2, 7),  # Latin-1
        (b"const A = 1; // \xc3", 1, 17),  # cut off
        (b"// \xed\xa0\x80", 1, 4),  # a surrogate
        (b"// \xc0\xaf", 1, 4),  # a longer form than needed
        (b"\xef\xbb\xbf// \xe9", 1, 4),  # after a byte order mark
        ("// h\u00fcbsch \u2713\n// ".encode() + b"\x80", 2, 4),
    ],
)
def test_not_utf8(tmp_path: Path, data: bytes, line: int, column: int) -> None:
    found = rejected(write(tmp_path / "a.seam", data))
    assert places(found) == [("E0104", line, column)]
    assert "is not UTF-8" in found[0].message


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("const A\0 = 1;", 1, 8),
        ("\0" * 5000, 1, 1),
        ("// \x1b[2J\x1b]0;title\x07\n", 1, 4),
        ('import "\x1b[31m.seam";', 1, 9),
        ("const A = 1;\n\x7f", 2, 1),
        ("const A = 1;\x0c\n", 1, 13),
        ("// \x85", 1, 4),
        ("// \u2028const A = 1;", 1, 4),
        ("// \u202e;1 = A tsnoc", 1, 4),
        ("/// \u2066isolated\n", 1, 5),
        ("// mac\rconst A = 1;\r", 1, 7),
    ],
)
def test_control_characters(tmp_path: Path, text: str, line: int, column: int) -> None:
    found = rejected(write(tmp_path / "a.seam", text))
    assert places(found) == [("E0104", line, column)]


def test_control_characters_by_program() -> None:
    with pytest.raises(seamir.SeamError) as caught:
        seamir.load_text("const A = \x1b;", "\x1b[31mred\n.seam")
    shown(caught.value.diagnostics)
    assert places(caught.value.diagnostics) == [("E0104", 1, 11)]
    with pytest.raises(seamir.SeamError) as caught:
        seamir.load_text("// \ud800", "a.seam")
    assert places(caught.value.diagnostics) == [("E0104", 1, 4)]


def test_random_bytes(tmp_path: Path) -> None:
    data = bytes((i * i * 7 + i // 3) & 0xFF for i in range(4096))
    assert [d.code for d in rejected(write(tmp_path / "a.seam", data))] == ["E0104"]


def test_an_object_file(tmp_path: Path) -> None:
    text = 'import "tdx/conduits.seam"; leaf A = 1 via seamcall ();'
    data = seamir.compile(seamir.load_text(text)).outputs["obj"].data
    assert [d.code for d in rejected(write(tmp_path / "a.seam", data))] == ["E0104"]


@pytest.mark.parametrize(
    ("text", "column", "name"),
    [
        ("leaf \u0410.B = 1 via c ();", 6, "cyrillic capital letter a"),
        ("const td\u0445 = 1;", 9, "cyrillic small letter ha"),
        ("const A\u037e", 8, "U+037E"),  # the Greek question mark
        ("const A = \uff11;", 11, "fullwidth digit one"),
        ("const\u00a0A = 1;", 6, "no-break space"),
        ("const A\u200b = 1;", 8, "zero width space"),
        ("const A = 1 \u2212 1;", 13, "minus sign"),
        ("const \ue000 = 1;", 7, "U+E000"),
        ("import \u201ctdx/types.seam\u201d;", 8, "left double quotation mark"),
        ("const \U0001d400 = 1;", 7, "mathematical bold capital a"),
    ],
)
def test_look_alikes(tmp_path: Path, text: str, column: int, name: str) -> None:
    found = rejected(write(tmp_path / "a.seam", text))
    assert places(found) == [("E0107", 1, column)]
    assert name in shown(found)


def test_any_text_in_remarks_and_strings(tmp_path: Path) -> None:
    text = "/// f\u00fcr \u0410\u0445 \u2713 \U0001f600\nconst A = 1; // \u4e2d\n"
    assert seamir.check(seamir.load(write(tmp_path / "a.seam", text))) == ()


def test_a_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "a.seam", b"\xef\xbb\xbfconst A = 1;\n")
    assert seamir.check(seamir.load(path)) == ()
    found = rejected(write(path, b"\xef\xbb\xbfconst A = B;\n"))
    assert places(found) == [("E0202", 1, 11)]
    found = rejected(write(path, b"const A = 1;\xef\xbb\xbf\n"))
    assert places(found) == [("E0107", 1, 13)]


def test_line_ends_of_windows(tmp_path: Path) -> None:
    text = (
        'import "tdx/conduits.seam";\r\n'
        "/// A leaf.\r\nleaf A = 1 via seamcall (a: u64) { // one\r\n  rcx = a;\r\n}\r\n"
    )
    path = write(tmp_path / "a.seam", text)
    other = write(tmp_path / "b.seam", text.replace("\r\n", "\n"))
    one, two = (seamir.compile(seamir.load(p), emit=("obj", "header")) for p in (path, other))
    assert one.outputs["obj"].data.replace(b"a.seam", b"b.seam") == two.outputs["obj"].data
    assert "\r" not in one.outputs["header"].text
    found = rejected(write(path, text.replace("rcx = a", "rcx = b")))
    assert places(found) == [("E0411", 3, 26), ("E0202", 4, 9)]
    assert "\r" not in shown(found)


# -- limits


def test_a_line_of_16_megabytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.seam", "const A = 1;\n// " + "x" * (16 * MIB - 20))
    assert places(rejected(path)) == [("E0103", 2, 1)]


def test_a_long_line_ends_at_64_kib(tmp_path: Path) -> None:
    line = "//" + "x" * (files.MAXIMUM_LINE - 2)
    assert seamir.check(seamir.load(write(tmp_path / "a.seam", f"{line}\n{line}\n"))) == ()
    assert places(rejected(write(tmp_path / "a.seam", f"\n{line}x"))) == [("E0103", 2, 1)]


def test_more_than_16_megabytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.seam", b"//\n" * (16 * MIB // 3 + 1))
    assert places(rejected(path)) == [("E0103", 0, 0)]
    importer = write(tmp_path / "b.seam", 'const A = 1;\nimport "a.seam";')
    assert places(rejected(importer)) == [("E0103", 2, 8)]


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.seam"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # a hole
    assert places(rejected(path)) == [("E0103", 0, 0)]


NESTED = {
    "parentheses": ("(" * 10_000 + "1" + ")" * 10_000, 11 + 256),
    "right": ("1 + (" * 10_000 + "1" + ")" * 10_000, 11 + 5 * 256 + 2),
    "left": ("1" + "+1" * 10_000, 11 + 1 + 2 * 256),
    "shifts": ("1" + "<<1" * 10_000, 11 + 1 + 3 * 256),
    "open": ("(" * 10_000, 11 + 256),
    "closed first": (")" * 1000 + "(" * 10_000, None),
}


@pytest.mark.parametrize("name", NESTED)
def test_nesting(tmp_path: Path, name: str) -> None:
    text, column = NESTED[name]
    found = rejected(write(tmp_path / "a.seam", f"const A = {text};"))
    if column is not None:
        assert places(found) == [("E0105", 1, column)]
    assert [d.code for d in found] in (["E0105"], ["E0106"])


@pytest.mark.parametrize("opening", ["{", "leaf A = 1 via c (", "statuses s {", "[", '"', "///"])
def test_the_same_again_and_again(tmp_path: Path, opening: str) -> None:
    for between in ("", "\n"):
        text = between.join([opening] * 3000)
        found = rejected(write(tmp_path / "a.seam", text))
        assert 1 <= len(found) <= 20
        assert {d.code for d in found} <= {"E0105", "E0106", "E0107", "E0112"}


def test_the_deepest_expressions_compile(tmp_path: Path) -> None:
    text = (
        'import "tdx/conduits.seam";\n'
        f"const A = {'(' * 256}1{')' * 256};\n"
        f"leaf L = 1 via seamcall (a: u64, b: u8) {{\n rcx = a{' + 1' * 256};\n"
        f" rdx = {'(1 + ' * 255}b{')' * 255};\n}}"
    )
    kinds = tuple(seamir.list_outputs())
    seamir.compile(seamir.load(write(tmp_path / "a.seam", text)), emit=kinds)


@pytest.mark.parametrize("count", [1000])
@pytest.mark.parametrize("backwards", [False, True])
def test_long_chains_of_definitions(tmp_path: Path, count: int, backwards: bool) -> None:
    kinds = (
        ("const A{} = A{};", "const A0 = 1;"),
        ("type t{} = t{};", "type t0 = u64;"),
    )
    conduit = 'conduit c { instruction tdcall "66 0f 01 cc"; status rax; }'
    lines = [conduit, *(line for _, line in kinds)]
    lines += [form.format(i + 1, i) for form, _ in kinds for i in range(count)]
    lines += [f"leaf L via c (a: t{count}) -> (a: t{count} = rcx) {{ rcx = a; }}"]
    text = "\n".join(reversed(lines) if backwards else lines)
    assert seamir.check(seamir.load(write(tmp_path / "a.seam", text))) == ()


@pytest.mark.parametrize("backwards", [False, True])
def test_conduits_extend_each_other_64_deep_at_most(tmp_path: Path, backwards: bool) -> None:
    lines = ['conduit c0 { instruction tdcall "66 0f 01 cc"; status rax; }']
    lines += [f"conduit c{i + 1} extends c{i} {{ }}" for i in range(66)]
    lines += ["leaf L via c66 (a: u64) { rcx = a; }"]
    text = "\n".join(reversed(lines) if backwards else lines)
    assert {d.code for d in rejected(write(tmp_path / "a.seam", text))} == {"E0105"}


def test_long_circles_of_definitions(tmp_path: Path) -> None:
    lines = [f"const A{i} = A{(i + 1) % 1000}; type t{i} = t{(i + 1) % 1000};" for i in range(1000)]
    lines += [f"conduit c{i} extends c{(i + 1) % 1000} {{ }}" for i in range(1000)]
    found = rejected(write(tmp_path / "a.seam", "\n".join(lines)))
    assert sorted(d.code for d in found) == ["E0211"] * 3


def test_2000_syntax_errors(tmp_path: Path) -> None:
    text = "\n".join(f"const A{i} = ;" for i in range(2000))
    found = rejected(write(tmp_path / "a.seam", text))
    assert places(found) == [("E0106", line, 12) for line in range(1, 11)] + [
        ("E0106", line, 13) for line in range(11, 21)
    ]


def test_2000_errors_of_meaning(tmp_path: Path) -> None:
    lines = [f"const A{i} = TDX_STATUS_NUMBER_{i};" for i in range(2000)]
    path = write(tmp_path / "a.seam", 'import "tdx/status.seam";\n' + "\n".join(lines))
    found = rejected(path)
    assert [d.code for d in found] == ["E0202"] * 2000
    assert [d.span.line for d in found if d.span] == list(range(2, 2002))


def test_suggestions_take_bounded_time(tmp_path: Path) -> None:
    text = "\n".join(f"const LONG_NAME_{i} = LONGER_NAME_{i};" for i in range(5000))
    assert len(rejected(write(tmp_path / "a.seam", text))) == 5000


def test_fields_and_parameters_without_number(tmp_path: Path) -> None:
    fields = "\n".join(f"f{i} [5:0];" for i in range(3000))
    parameters = ",\n".join(f"p{i}: u64" for i in range(3000))
    outputs = ",\n".join(f"o{i % 9}: u64 = rsp" for i in range(3000))
    text = f"bits b {{ {fields} }}\n" + (
        'conduit c { instruction tdcall "66 0f 01 cc"; rax = leaf; status rax; }\n'
        f"leaf L = 1 via c ({parameters}) -> ({outputs});"
    )
    found = rejected(write(tmp_path / "a.seam", text))
    assert {d.code for d in found} == {"E0305", "E0207", "E0401", "E0411"}
    assert len(found) < 13_000


def test_too_many_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seamir.model import program

    assert program.MAXIMUM_LEAVES == 65_535
    monkeypatch.setattr(program, "MAXIMUM_LEAVES", 9)
    lines = [f"leaf A version {i} via seamcall ();" for i in range(10)]
    path = write(tmp_path / "a.seam", 'import "tdx/conduits.seam";\n' + "\n".join(lines))
    found = rejected(path)
    assert places(found) == [("E0214", 0, 0)]
    assert "10 leaves" in found[0].message


# -- numbers, names and strings


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("18446744073709551616", "E0108"),
        ("0x10000000000000000", "E0108"),
        ("9" * 60_000, "E0108"),
        ("0x" + "f" * 60_000, "E0108"),
        ("9" * 1_000_000, "E0103"),
        ("0x" + "0" * 60_000 + "1", None),
        ("18446744073709551615", None),
        ("0xffff_ffff_ffff_ffff", None),
    ],
)
def test_numbers(tmp_path: Path, number: str, code: str | None) -> None:
    path = write(tmp_path / "a.seam", f"const A = {number};")
    if code is None:
        assert seamir.check(seamir.load(path)) == ()
    else:
        column = 1 if code == "E0103" else 11
        assert places(rejected(path)) == [(code, 1, column)]


def test_endless_names_make_short_messages(tmp_path: Path) -> None:
    name = "A" * 60_000
    for text in (f"{name} = 1;", f"const A = {name};", f'import "{name}.seam";', f"/// {name}\n)"):
        found = rejected(write(tmp_path / "a.seam", text))
        assert len(found) == 1
        assert len(shown(found)) < 2 * MAXIMUM_MESSAGE
    assert len(shown(rejected("a" * 100_000))) < 2 * MAXIMUM_MESSAGE


def test_what_is_not_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.seam"
    found = rejected(write(path, 'const A = 1;\nimport "tdx/types.seam;\nconst B = 2;\n'))
    assert places(found) == [("E0112", 2, 8)]
    found = rejected(write(path, "statuses s {\n    FINE = 0;\n\n// the end\n"))
    assert places(found)[0][:2] == ("E0106", 4)
    assert found[0].notes[0].span.column == 12
    found = rejected(write(path, "leaf A = 1 via c (a: u64"))
    assert places(found) == [("E0106", 1, 24)]


def test_files_without_items(tmp_path: Path) -> None:
    for text in ("", "\n\n", "// nothing\n", "\ufeff"):
        path = write(tmp_path / "a.seam", text)
        assert seamir.check(seamir.load(path)) == ()
        with pytest.raises(seamir.SeamError) as caught:
            seamir.compile(seamir.load(path))
        assert places(caught.value.diagnostics) == [("E0807", 0, 0)]


# -- things that are not files


def test_missing(tmp_path: Path) -> None:
    for name in (tmp_path / "a.seam", "", "a\0b.seam", "tdx/none.seam", tmp_path / "a" / "b.seam"):
        assert places(rejected(name)) == [("E0101", 0, 0)]
    assert "\x1b" not in shown(rejected("\x1b[31m.seam"))


def test_folders(tmp_path: Path) -> None:
    assert places(rejected(tmp_path)) == [("E0102", 0, 0)]
    (tmp_path / "folder.seam").mkdir()
    path = write(tmp_path / "a.seam", 'import "folder.seam";')
    assert places(rejected(path)) == [("E0102", 1, 8)]


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty", "/dev/stdin"])
def test_devices(device: str) -> None:
    if not os.path.exists(device):
        pytest.skip(f"there is no {device}")
    assert {d.code for d in rejected(device)} <= {"E0101", "E0102"}


def test_a_pipe_that_nobody_writes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.seam")
    assert places(rejected(tmp_path / "pipe.seam")) == [("E0102", 0, 0)]
    path = write(tmp_path / "a.seam", '\n import "pipe.seam";')
    assert places(rejected(path)) == [("E0102", 2, 9)]


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.seam")
        assert {d.code for d in rejected("s.seam")} <= {"E0101", "E0102"}


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "secret.seam", "const A = 1;")
    importer = write(tmp_path / "a.seam", 'import "secret.seam";')
    real_open = os.open

    def refuse(name: str | Path, flags: int, mode: int = 0o777) -> int:
        if os.fspath(name).endswith("secret.seam"):
            raise PermissionError(13, "Permission denied", os.fspath(name))
        return real_open(name, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    found = rejected(path)
    assert places(found) == [("E0101", 0, 0)]
    assert "Permission denied" in found[0].message
    assert places(rejected(importer)) == [("E0101", 1, 8)]


def test_a_read_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.seam", "const A = 1;")

    class Broken:
        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *_error: object) -> None:
            os.close(self.descriptor)

        def __init__(self, descriptor: int, _mode: str) -> None:
            self.descriptor = descriptor

        def fileno(self) -> int:
            return self.descriptor

        def read(self, _size: int) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdopen", Broken)
    found = rejected(path)
    assert places(found) == [("E0101", 0, 0)]
    assert "Input/output error" in found[0].message


# -- imports


def chain(folder: Path, count: int, last: str) -> Path:
    """Files of which each imports the next one; the first of them."""
    for i in range(count):
        text = f'import "f{i + 1}.seam"; const A{i} = A{i + 1};' if i + 1 < count else last
        write(folder / f"f{i}.seam", text)
    return folder / "f0.seam"


@pytest.mark.parametrize("count", [1, 2, 3, 200])
def test_circles_of_imports(tmp_path: Path, count: int) -> None:
    first = chain(tmp_path, count, '\n import "f0.seam";')
    found = rejected(first)
    assert places(found) == [("E0110", 2, 9)]
    assert found[0].span is not None
    assert found[0].span.source.name.endswith(f"f{count - 1}.seam")
    assert len(found[0].notes) == count - 1


def test_a_circle_through_another_name(tmp_path: Path) -> None:
    write(tmp_path / "a.seam", 'import "b.seam";')
    (tmp_path / "b.seam").symlink_to("a.seam")
    assert places(rejected(tmp_path / "a.seam")) == [("E0110", 1, 8)]


def test_1000_imports_deep(tmp_path: Path) -> None:
    first = chain(tmp_path, 1000, "const A999 = 1;")
    assert seamir.check(seamir.load(first)) == ()
    write(tmp_path / "f999.seam", "const A999 = B;")
    found = rejected(first)
    assert [d.code for d in found] == ["E0202"]


ESCAPES = (
    "../a.seam", "b/../../a.seam", "./a.seam", "/etc/passwd.seam", "//a.seam", "b//a.seam",
    "..\\\\a.seam", "b\\\\a.seam", "C:/a.seam", "~/a.seam", "$HOME/a.seam", "a.seam/", "",
    ".seam", ".a.seam", "a", "a.txt", "a.seam.txt", "a b.seam", "%2e%2e/a.seam", "\u00e4.seam",
    "b/.git/a.seam", "-/..seam/../a.seam", "file:///a.seam",
)  # fmt: skip


@pytest.mark.parametrize("path", ESCAPES)
def test_imports_of_strange_paths(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write(tmp_path / "a.seam", "const A = 1;")
    found = rejected(write(folder / "main.seam", f'const B = 1;\nimport "{path}";'))
    assert places(found) == [("E0111", 2, 8)]


def test_an_import_with_a_line_end(tmp_path: Path) -> None:
    found = rejected(write(tmp_path / "a.seam", 'import "b.seam\n";'))
    assert places(found) == [("E0112", 1, 8)]


def test_links_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (tmp_path / "other").mkdir()
    (folder / "real").mkdir(parents=True)
    write(tmp_path / "other" / "a.seam", "const A = 1;")
    write(folder / "real" / "b.seam", "const B = 1;")
    (folder / "file.seam").symlink_to("../other/a.seam")
    (folder / "away").symlink_to("../other")
    (folder / "within").symlink_to("real")
    (folder / "loop.seam").symlink_to("loop.seam")
    (folder / "nowhere.seam").symlink_to("missing.seam")
    main = folder / "main.seam"
    for name, code in (
        ("file.seam", "E0111"),
        ("away/a.seam", "E0111"),
        ("loop.seam", "E0101"),
        ("nowhere.seam", "E0109"),
        ("missing.seam", "E0109"),
        ("main.seam/a.seam", "E0109"),
    ):
        assert places(rejected(write(main, f'import "{name}";'))) == [(code, 1, 8)], name
    write(main, 'import "within/b.seam";')
    assert seamir.check(seamir.load(main)) == ()
    # A folder of -I may be a link itself: whoever compiles has named it.
    write(main, 'import "a.seam";')
    assert seamir.check(seamir.load(main, include=[str(folder / "away")])) == ()


def test_errors_in_several_files(tmp_path: Path) -> None:
    write(tmp_path / "a.seam", 'import "b.seam"; import "c.seam"; const = 1;')
    write(tmp_path / "b.seam", "const B = ;")
    write(tmp_path / "c.seam", 'import "none.seam";\nconst C = ;')
    found = rejected(tmp_path / "a.seam")
    names = [Path(d.span.source.name).name for d in found if d.span]
    assert sorted(zip(names, places(found), strict=True)) == [
        ("a.seam", ("E0106", 1, 41)),
    ]
    write(tmp_path / "a.seam", 'import "b.seam"; import "c.seam";')
    found = rejected(tmp_path / "a.seam")
    assert [d.code for d in found] == ["E0106", "E0106"]


# -- outputs


def compiled(path: Path) -> seamir.Compilation:
    """A compilation of a file with one leaf."""
    write(path, 'import "tdx/conduits.seam"; leaf A = 1 via seamcall ();')
    return seamir.compile(seamir.load(path), emit=("obj", "header"))


def test_an_output_that_is_a_folder(tmp_path: Path) -> None:
    compilation = compiled(tmp_path / "a.seam")
    (tmp_path / "out" / "a.h").mkdir(parents=True)
    with pytest.raises(seamir.SeamError) as caught:
        compilation.write(tmp_path / "out")
    assert places(caught.value.diagnostics) == [("E0808", 0, 0)]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.h"]


def test_an_output_below_a_file(tmp_path: Path) -> None:
    compilation = compiled(tmp_path / "a.seam")
    with pytest.raises(seamir.SeamError) as caught:
        compilation.write(tmp_path / "a.seam" / "out")
    assert places(caught.value.diagnostics) == [("E0808", 0, 0)]


def test_an_output_would_replace_an_input(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h", 'import "tdx/conduits.seam"; leaf A = 1 via seamcall ();')
    (tmp_path / "a.h.h").symlink_to("a.h")
    compilation = seamir.compile(seamir.load(path), emit=("obj", "header"))
    before = path.read_bytes()
    with pytest.raises(seamir.SeamError) as caught:
        compilation.write(tmp_path)
    assert places(caught.value.diagnostics) == [("E0808", 0, 0)]
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h", "a.h.h"]


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compilation = compiled(tmp_path / "a.seam")
    real_open = os.open

    def full(name: str | Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT and any((tmp_path / "out").iterdir()):
            raise OSError(28, "No space left on device", os.fspath(name))
        return real_open(name, flags, mode)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(seamir.SeamError) as caught:
        compilation.write(tmp_path / "out")
    assert places(caught.value.diagnostics) == [("E0808", 0, 0)]
    assert list((tmp_path / "out").iterdir()) == []
