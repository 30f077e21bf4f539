"""What is shipped: sdist, wheel and editable install hold everything and work on their own."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import build  # noqa: F401  (run as a module)
import hatchling  # noqa: F401  (used by build)
import pytest
from command_line import LEAVES, ROOT, write

import seamir

DATA = {
    "seamir/syntax/seam.lark": ROOT / "grammar/seam.lark",
    "seamir/emit/manifest.schema.json": ROOT / "seamir/emit/manifest.schema.json",
    "seamir/py.typed": ROOT / "seamir/py.typed",
    **{
        f"seamir/leaves/tdx/{path.name}": path
        for path in (ROOT / "seamir/leaves/tdx").glob("*.seam")
    },
    **{f"seamir/errors/{path.name}": path for path in (ROOT / "docs/errors").glob("*.md")},
}


def python(*arguments: str | Path, cwd: Path, path: Path | None = None) -> str:
    """Runs this Python without the package in reach, but for `path`; returns what it prints."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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
    """The sdist and the wheel that is built from it."""
    out = tree.parent / "dist"
    python("-m", "build", "--no-isolation", "--outdir", out, tree, cwd=tree.parent)
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


def test_the_wheel_says_what_it_needs(built: tuple[Path, Path]) -> None:
    files = contents(built[1])
    info = f"seamir-{seamir.__version__}.dist-info"
    metadata = email.message_from_bytes(files[f"{info}/METADATA"])
    assert metadata["Name"] == "seamir"
    assert metadata["Version"] == seamir.__version__
    assert metadata["Requires-Python"] == ">=3.11"
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


def test_the_sdist_has_what_tests_and_readers_need(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("README.md", "LICENSE", "Makefile", "pyproject.toml", "grammar/seam.lark",
                 "docs/api.md", "docs/cli.md", "tests/system/test_packaging.py",
                 "tests/data/leaves.json", *DATA):  # fmt: skip
        assert name in names, name
    assert not any("__pycache__" in name or name.startswith(".venv") for name in names)


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
