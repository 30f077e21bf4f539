"""What is shipped: sdist, wheel and editable install hold everything and work on their own."""

from __future__ import annotations

import email
import os
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import build  # noqa: F401  (run as a module)
import hatchling  # noqa: F401  (used by build)
import pytest
from command_line import LEAVES, ROOT, write
from tools import outside, python, run

import seamir

DATA = {
    "seamir/syntax/seam.lark": ROOT / "grammar/seam.lark",
    "seamir/emit/manifest.schema.json": ROOT / "seamir/emit/manifest.schema.json",
    "seamir/py.typed": ROOT / "seamir/py.typed",
    **{
        f"seamir/completion/seamir.{shell}": ROOT / f"seamir/completion/seamir.{shell}"
        for shell in ("bash", "zsh", "fish")
    },
    **{
        f"seamir/leaves/tdx/{path.name}": path
        for path in (ROOT / "seamir/leaves/tdx").glob("*.seam")
    },
    **{f"seamir/errors/{path.name}": path for path in (ROOT / "docs/errors").glob("*.md")},
}


# What building and working leave behind; none of it may be shipped.
JUNK = (
    ".venv/bin/python",
    "build/host.o",
    "dist/seamir-0.0.0.tar.gz",
    "seamir/__pycache__/cli.cpython-311.pyc",
    "seamir/leaves/tdx/__pycache__/x.pyc",
    "tests/.hypothesis/x",
    ".mypy_cache/x",
    ".ruff_cache/x",
    ".pytest_cache/x",
    "seamir.egg-info/PKG-INFO",
    "examples/lto/main.o",
    "examples/lto/rust",
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project as a clone would have it, so that building leaves no trace."""
    copy = tmp_path_factory.mktemp("tree") / "seamir"
    junk = shutil.ignore_patterns(
        ".*_cache", ".git", ".hypothesis", ".venv", "__pycache__", "*.egg-info", "build", "dist"
    )
    shutil.copytree(ROOT, copy, symlinks=True, ignore=junk)
    return copy


@pytest.fixture(scope="module")
def built(tree: Path) -> tuple[Path, Path]:
    """The sdist and the wheel that is built from it, of a tree in which somebody worked."""
    out = tree.parent / "dist"
    worked = tree.parent / "worked/seamir"
    shutil.copytree(tree, worked, symlinks=True)
    for name in JUNK:
        (worked / name).parent.mkdir(parents=True, exist_ok=True)
        (worked / name).write_text("junk")
    python("-m", "build", "--no-isolation", "--outdir", out, worked, cwd=tree.parent)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path]) -> Path:
    """A folder into which the wheel is installed."""
    folder = built[1].parent.parent / "installed"
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    python("-m", "pip", "install", *options, "--target", folder, built[1], cwd=folder.parent)
    return folder


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_has_the_whole_package(built: tuple[Path, Path]) -> None:
    files = contents(built[1])
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "seamir").rglob("*.py")}
    package = {name for name in files if name.startswith("seamir/")}
    assert package == modules | set(DATA)
    for name, path in DATA.items():
        assert files[name] == path.read_bytes(), name
    assert {name.partition("/")[0] for name in files} == {
        "seamir",
        f"seamir-{seamir.__version__}.dist-info",
    }
    assert any(name.startswith("seamir/errors/E") for name in files)
    assert any(name.startswith("seamir/errors/W") for name in files)
    assert not any(str(built[1].parent.parent).encode() in data for data in files.values())


def test_the_wheel_says_what_it_needs(built: tuple[Path, Path]) -> None:
    files = contents(built[1])
    info = f"seamir-{seamir.__version__}.dist-info"
    metadata = email.message_from_bytes(files[f"{info}/METADATA"])
    assert metadata["Name"] == "seamir"
    assert metadata["Version"] == seamir.__version__
    pythons = re.findall(r"Python :: (3\.\d+)$", files[f"{info}/METADATA"].decode(), re.MULTILINE)
    assert metadata["Requires-Python"] == f">={pythons[0]}"
    assert pythons == [f"3.{minor}" for minor in range(11, 11 + len(pythons))]
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("Provides-Extra", [])) >= {"emulate", "test", "dev"}
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert all(">=" in line and "<" in line for line in needed)
    assert (
        files[f"{info}/entry_points.txt"].decode().split("\n")[1] == "seamir = seamir.__main__:run"
    )
    assert files[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_a_wheel_from_the_tree_is_the_same(tree: Path, built: tuple[Path, Path]) -> None:
    out = tree.parent / "direct"
    python("-m", "build", "--no-isolation", "--wheel", "--outdir", out, tree, cwd=tree.parent)
    (wheel,) = out.glob("*.whl")
    assert contents(wheel) == contents(built[1])


def test_the_sdist_is_the_tree(tree: Path, built: tuple[Path, Path]) -> None:
    """It has everything that tests and readers need, and nothing else."""
    with tarfile.open(built[0]) as archive:
        links = [member.linkname for member in archive.getmembers() if member.linkname]
        names = {member.name for member in archive.getmembers() if not member.isdir()}
    assert links == ["../../grammar/seam.lark"]
    here = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    pages = {name for name in DATA if name.startswith("seamir/errors/")}
    top = f"seamir-{seamir.__version__}/"
    assert names == {top + name for name in {"PKG-INFO", *pages, *here}}


def test_the_installed_package_works(installed: Path, tmp_path: Path) -> None:
    write(tmp_path)
    emit = ["--emit", "obj,asm,llvm-ir,bitcode,header,manifest,docs"]
    python("-m", "seamir", "compile", "tdx/host.seam", "leaves.seam", "-o", "out", *emit,
           cwd=tmp_path, path=installed)  # fmt: skip
    python("-m", "seamir", "compile", "tdx/host.seam", "leaves.seam", "-o", "here", *emit,
           cwd=tmp_path, path=ROOT)  # fmt: skip
    for name in os.listdir(tmp_path / "here"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    assert len(os.listdir(tmp_path / "out")) == 14
    page = python("-m", "seamir", "explain", "E0304", cwd=tmp_path, path=installed)
    assert page == (ROOT / "docs/errors/E0304.md").read_text(encoding="utf-8")
    where = python("-c", "import seamir; print(seamir.__file__)", cwd=tmp_path, path=installed)
    assert where.strip() == str(installed / "seamir/__init__.py")


def test_the_installed_script_works(installed: Path, tmp_path: Path) -> None:
    text = python(installed / "bin/seamir", "--version", cwd=tmp_path, path=installed)
    assert text == f"seamir {seamir.__version__}\n"


def test_an_editable_install_works(tree: Path, tmp_path: Path) -> None:
    program = "import sys, hatchling.build; hatchling.build.build_editable(sys.argv[1])"
    python("-c", program, tmp_path, cwd=tree)
    (wheel,) = tmp_path.glob("*.whl")
    (link,) = (text for name, text in contents(wheel).items() if name.endswith(".pth"))
    assert link.decode().strip() == str(tree)
    write(tmp_path, text=LEAVES)
    python("-m", "seamir", "compile", "leaves.seam", "tdx/host.seam", cwd=tmp_path, path=tree)
    assert "E0304" in python("-m", "seamir", "explain", "E0304", cwd=tmp_path, path=tree)


def test_nothing_names_this_machine(tree: Path) -> None:
    """No file knows where it was made."""
    places = [str(ROOT), "/" + "work/main", "../" + "shared"]
    for path in tree.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            for place in places:
                assert place.encode() not in data, f"{path.relative_to(tree)} names {place}"


def test_the_oldest_of_all_dependencies_is_tested(built: tuple[Path, Path]) -> None:
    """tests/oldest.txt has the lower ends of the ranges."""
    files = contents(built[1])
    metadata = files[f"seamir-{seamir.__version__}.dist-info/METADATA"].decode()
    ranges = re.findall(r"^Requires-Dist: ([\w-]+)(\S+)(.*)$", metadata, re.MULTILINE)
    lowest = {
        name: min(re.findall(r">=([\d.]+)", versions))
        for name, versions, extra in ranges
        if not extra.endswith("'dev'")
    }
    pinned = re.findall(
        r"^([\w-]+)==([\d.]+)$", (ROOT / "tests/oldest.txt").read_text(), re.MULTILINE
    )
    assert {name: _shortened(version) for name, version in pinned} == {
        name: _shortened(version) for name, version in lowest.items()
    }


def _shortened(version: str) -> str:
    """1.27.0 and 1.27 are the same version."""
    return re.sub(r"(\.0)+$", "", version)


def test_the_news_begin_with_this_version() -> None:
    versions = re.findall(
        r"^## (\S+)", (ROOT / "NEWS.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert versions[0] == seamir.__version__
    assert len(set(versions)) == len(versions)


# -- installed as users do it, into environments that have nothing else

# What an install may add to an environment.
OURS = re.compile(
    r"lib/python3\.\d+/site-packages/(seamir/.*|seamir-[\d.]+\.dist-info/.*|_seamir\.pth)|bin/seamir"
)
LIBRARY_PROGRAM = """
import sys
import seamir
assert not {"lark", "llvmlite"} & set(sys.modules)
result = seamir.compile(seamir.load("leaves.seam"), emit=("obj", "header", "manifest"))
assert bytes.fromhex("660f01cf") in result.code("test_read")
from importlib.resources import files
for name in ("syntax/seam.lark", "emit/manifest.schema.json", "errors/E0304.md", "py.typed"):
    assert (files("seamir") / name).is_file(), name
print(seamir.__version__, seamir.__file__)
"""


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where pip reaches no index of packages."""
    folder = tmp_path_factory.mktemp("online")
    pip = (sys.executable, "-m", "pip")
    done = run(*pip, "download", "--no-deps", "--dest", folder, "lark", status=None)
    if done.returncode:
        pytest.skip(f"pip reaches no packages: {done.stderr.strip().splitlines()[-1]}")


def files_in(environment: Path) -> set[str]:
    """The files of an environment but for what Python itself writes."""
    paths = (path for path in environment.rglob("*") if "__pycache__" not in path.parts)
    return {str(path.relative_to(environment)) for path in paths if not path.is_dir()}


def smoke(program: Path, cwd: Path) -> None:
    """Tries what one does with a new `seamir`, and that no extra is needed for it."""
    write(cwd)
    version = seamir.__version__
    assert said(program, "--version", cwd=cwd) == f"seamir {version}\n"
    said(program, "compile", "tdx/host.seam", "leaves.seam", "-o", "out", "--emit",
         "obj,asm,header,manifest,docs,llvm-ir", cwd=cwd)  # fmt: skip
    assert (cwd / "out/host.o").read_bytes().startswith(b"\x7fELF")
    assert "tdh_mem_track(" in (cwd / "out/host.h").read_text()
    page = (ROOT / "docs/errors/E0304.md").read_text(encoding="utf-8")
    assert said(program, "explain", "E0304", cwd=cwd) == page
    assert "seamcall" in said(program, "explain", "tdx/host.seam", "TDH.MEM.TRACK", cwd=cwd)
    assert "complete" in said(program, "completion", "bash", cwd=cwd)


def said(*command: str | Path, cwd: Path, status: int = 0) -> str:
    """What a command prints, without the package in reach."""
    done = run(*command, cwd=cwd, env=outside(), status=status)
    return done.stdout if status == 0 else done.stderr


@pytest.mark.usefixtures("online")
def test_installs_of_every_kind(tree: Path, built: tuple[Path, Path], tmp_path: Path) -> None:
    """Each works, adds no file outside of the package, and leaves none when it is removed."""
    environment = tmp_path / "environment"
    python("-m", "venv", environment, cwd=tmp_path)
    inside = environment / "bin/python"
    pip = (inside, "-m", "pip", "--disable-pip-version-check")
    said(*pip, "install", built[1], cwd=tmp_path)
    said(*pip, "check", cwd=tmp_path)
    said(*pip, "uninstall", "--yes", "seamir", cwd=tmp_path)
    bare = files_in(environment)
    assert not any(map(OURS.fullmatch, bare))
    for kind, what in (("wheel", [built[1]]), ("sdist", [built[0]]), ("tree", ["-e", tree])):
        said(*pip, "install", *what, cwd=tmp_path)
        added = files_in(environment) - bare
        assert added, kind
        assert not [name for name in added if not OURS.fullmatch(name)]
        folder = tmp_path / kind
        folder.mkdir()
        smoke(environment / "bin/seamir", folder)
        version, _, place = said(inside, "-c", LIBRARY_PROGRAM, cwd=folder).strip().partition(" ")
        assert version == seamir.__version__
        assert Path(place).is_relative_to(tree if kind == "tree" else environment)
        said(*pip, "uninstall", "--yes", "seamir", cwd=tmp_path)
        assert files_in(environment) == bare, kind
        assert not list(environment.rglob("seamir*")), kind


@pytest.mark.usefixtures("online")
def test_pipx(built: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pipx puts the command into reach, with an extra if asked for, and takes it away again."""
    for variable, name in (("HOME", "home"), ("BIN_DIR", "bin"), ("MAN_DIR", "man")):
        monkeypatch.setenv(f"PIPX_{variable}", str(tmp_path / name))
    monkeypatch.setenv("PIPX_DEFAULT_PYTHON", sys.executable)
    pipx = (sys.executable, "-m", "pipx")
    said(*pipx, "install", built[1], cwd=tmp_path)
    program = tmp_path / "bin/seamir"
    work = tmp_path / "work"
    work.mkdir()
    smoke(program, work)
    call = ("run", "leaves.seam", "TEST.READ", "field=1")
    assert "pip install 'seamir[emulate]'" in said(program, *call, cwd=work, status=1)
    said(*pipx, "install", "--force", f"{built[1]}[emulate]", cwd=tmp_path)
    assert "returns 0x0" in said(program, *call, cwd=work)
    said(*pipx, "uninstall", "seamir", cwd=tmp_path)
    assert not program.exists()
    assert not (tmp_path / "home/venvs/seamir").exists()
