"""Fetching kernels, with programs in the place of apt and dpkg that take packages from a folder.

And what counts as a complaint of a module's build.
"""

from __future__ import annotations

import platform
import tarfile
from collections.abc import Callable
from pathlib import Path

import kernels
import pytest
from kernel_modules import Built
from kernels import Row, Unavailable, fetch, unpacked

ROW = Row("cloud-amd64", "debian")
# `apt-cache show --no-all-versions NAME...`, as if each package had a file with its record; missing
# ones are an error only if there is no other, as in apt itself.
APT_CACHE = """\
shift 2
for name; do cat "$PACKAGES/$name" 2>/dev/null && found=1; done
[ -n "$found" ] || { echo "E: No packages found" >&2; exit 100; }
"""
# `apt-get download -qq -o OPTION NAME...`
APT_GET = """\
shift 4
for name; do
    echo "$name" >>"$PACKAGES/downloaded"
    cp "$PACKAGES/$name.tar" "$name.deb" || { echo "E: Failed to fetch $name" >&2; exit 100; }
done
"""
# `dpkg -x PACKAGE FOLDER`
DPKG = """\
mkdir -p "$3"
tar -xf "$2" -C "$3" || { echo "dpkg-deb: error: $2" >&2; exit 2; }
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the packages of one kernel, and what stands in for apt."""
    programs, folder, cache = (tmp_path / name for name in ("programs", "packages", "cache"))
    for made in (programs, folder, cache):
        made.mkdir()
    for name, text in {"apt-cache": APT_CACHE, "apt-get": APT_GET, "dpkg": DPKG}.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("PACKAGES", str(folder))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(kernels, "CACHE", cache)
    monkeypatch.setattr(kernels, "KERNELS", (ROW,))
    monkeypatch.setattr(Row, "is_of_this_machine", True)
    offer(folder, "6.1.0-7")
    return folder


def offer(folder: Path, release: str) -> None:
    """Makes the packages of a release the present ones."""
    headers, image = f"linux-headers-{release}-cloud-amd64", f"linux-image-{release}-cloud-amd64"
    common = f"linux-headers-{release}-common"
    tree = folder / release / "usr" / "src"
    for name in (headers, common):
        (tree / name).mkdir(parents=True)
    (tree / headers / "Module.symvers").touch()
    (tree / headers / "Makefile").write_text(
        f"KBUILD_OUTPUT=/usr/src/{headers}\ninclude /usr/src/{common}/Makefile\n"
    )
    (folder / release / "boot").mkdir()
    (folder / release / "boot" / f"vmlinuz-{release}-cloud-amd64").write_bytes(release.encode())

    depends = f"linux-base (>= 4), {common} (= 1), {image} (= 1) | {image}-unsigned, linux-kbuild-6"
    package(folder, "linux-headers-cloud-amd64", headers)
    package(folder, "linux-image-cloud-amd64", f"{image} (= 1)")
    package(folder, headers, depends, folder / release / "usr", "usr")
    package(
        folder, image, "kmod, linux-modules-6, linux-firmware", folder / release / "boot", "boot"
    )
    package(folder, common)
    package(folder, "linux-kbuild-6", "libc6 (>= 2.34)")


def package(
    folder: Path, name: str, depends: str = "", content: Path | None = None, place: str = ""
) -> None:
    """A package with a folder, which is unpacked to `place`, or with nothing in it."""
    (folder / name).write_text(f"Package: {name}\nVersion: 1\nDepends: {depends}\nSize: 2\n\n")
    with tarfile.open(folder / f"{name}.tar", "w") as archive:
        if content is not None:
            archive.add(content, place)


def downloaded(folder: Path) -> list[str]:
    """The packages that were downloaded since this was last asked."""
    path = folder / "downloaded"
    if not path.exists():
        return []
    names = path.read_text().split()
    path.unlink()
    return names


def in_cache() -> list[str]:
    """The names in the cache."""
    return sorted(path.name for path in kernels.CACHE.iterdir())


def test_a_kernel_is_what_its_metapackages_lead_to(packages: Path) -> None:
    kernel = fetch(ROW)
    assert (kernel.release, kernel.version) == ("6.1.0-7-cloud-amd64", (6, 1))
    assert kernel.image.read_bytes() == b"6.1.0-7"
    # Nothing is installed: it is where the cache is.
    assert (kernel.headers / "Makefile").read_text() == (
        f"KBUILD_OUTPUT={kernel.headers}\n"
        f"include {ROW.folder}/usr/src/linux-headers-6.1.0-7-common/Makefile\n"
    )
    assert downloaded(packages) == [
        "linux-headers-6.1.0-7-cloud-amd64",
        "linux-headers-6.1.0-7-common",
        "linux-image-6.1.0-7-cloud-amd64",
        "linux-kbuild-6",
    ]


def test_a_version_is_downloaded_once(packages: Path) -> None:
    first = fetch(ROW)
    assert downloaded(packages)
    assert fetch(ROW) == first == unpacked(ROW)
    assert not downloaded(packages)


def test_a_cache_that_was_moved_is_made_anew(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(ROW)
    moved = kernels.CACHE.rename(packages / "moved")
    monkeypatch.setattr(kernels, "CACHE", moved)
    assert str(moved) in (fetch(ROW).headers / "Makefile").read_text()


def test_a_new_version_takes_the_place_of_the_old(packages: Path) -> None:
    fetch(ROW)
    offer(packages, "6.1.0-8")
    assert fetch(ROW).release == "6.1.0-8-cloud-amd64"
    assert in_cache() == ["cloud-amd64"]


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda path: path.unlink(), "E: Failed to fetch linux-kbuild-6"),
        (lambda path: path.write_bytes(b"half"), "dpkg-deb: error: "),
    ],
    ids=["download", "unpack"],
)
def test_what_is_not_whole_is_not_there(
    packages: Path, damage: Callable[[Path], object], error: str
) -> None:
    damage(packages / "linux-kbuild-6.tar")
    with pytest.raises(Unavailable, match=error):
        fetch(ROW)
    assert in_cache() == []
    assert unpacked(ROW) is None


def test_a_package_that_is_not_offered_is_named(packages: Path) -> None:
    (packages / "linux-image-cloud-amd64").unlink()
    with pytest.raises(Unavailable, match=r"apt does not offer linux-image-cloud-amd64$"):
        fetch(ROW)


def test_headers_and_image_are_of_one_release(packages: Path) -> None:
    old = (packages / "linux-headers-cloud-amd64").read_text()
    offer(packages, "6.1.0-8")
    (packages / "linux-headers-cloud-amd64").write_text(old)
    record = packages / "linux-headers-6.1.0-7-cloud-amd64"
    record.write_text(record.read_text().replace("linux-image-6.1.0-7", "linux-image-6.1.0-8"))
    with pytest.raises(Unavailable, match="its packages have no image of 6"):
        fetch(ROW)
    assert in_cache() == []


def test_the_image_may_be_in_a_package_of_its_own(packages: Path) -> None:
    """So it is since Linux 7."""
    release = "6.1.0-7-cloud-amd64"
    (packages / "new" / release).mkdir(parents=True)
    (packages / "new" / release / "vmlinuz").write_bytes(b"another")
    package(packages, f"linux-image-{release}", f"linux-base-{release}, linux-binary-{release}")
    package(packages, f"linux-binary-{release}", "", packages / "new", "usr/lib/modules")
    kernel = fetch(ROW)
    assert (kernel.release, kernel.image.read_bytes()) == (release, b"another")


def test_without_headers_there_is_no_kernel(packages: Path) -> None:
    package(packages, "linux-headers-6.1.0-7-cloud-amd64")
    with pytest.raises(Unavailable, match="there are headers of 0 kernels in its packages"):
        fetch(ROW)


def test_the_command_prints_a_line_for_each(
    packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (kernels.CACHE / ".part-left").mkdir()  # by a process that was killed
    assert kernels.main() == 0
    assert capsys.readouterr().out == f"6.1.0-7-cloud-amd64  {ROW.folder}\n"
    assert in_cache() == ["cloud-amd64", "lock"]


def test_a_kernel_that_is_there_is_kept_when_there_is_no_newer(
    packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(ROW)
    (packages / "linux-image-cloud-amd64").unlink()
    assert kernels.main() == 0
    assert capsys.readouterr().out == (
        "kept the kernel that is there, since apt does not offer linux-image-cloud-amd64\n"
        f"6.1.0-7-cloud-amd64  {ROW.folder}\n"
    )


def test_in_ci_a_kernel_less_is_an_error(
    packages: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(packages))
    assert kernels.main() == 0
    assert capsys.readouterr().out.startswith(
        "SKIPPED: kernel cloud-amd64: not installed: apt-cache"
    )
    with pytest.raises(pytest.skip.Exception, match="`make test-system` fetches it on debian"):
        kernels.need_kernel(ROW)

    monkeypatch.setenv("CI", "true")
    assert kernels.main() == 1
    with pytest.raises(pytest.fail.Exception, match="the kernel cloud-amd64 was not fetched"):
        kernels.need_kernel(ROW)


def test_other_distributions_skip(
    packages: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Row, "is_of_this_machine", False)
    monkeypatch.setenv("CI", "true")
    assert kernels.main() == 0
    assert capsys.readouterr().out.startswith("SKIPPED: no kernel is known")
    assert kernels.kernels() == []


@pytest.mark.parametrize(
    ("system", "names"),
    [
        ({"ID": "debian", "VERSION_ID": "12"}, ["cloud-amd64", "6.12-cloud-amd64"]),
        ({"ID": "debian", "VERSION_ID": "13"}, ["cloud-amd64"]),
        ({"ID": "debian"}, ["cloud-amd64"]),  # the next one has no number yet
        ({"ID": "ubuntu", "VERSION_ID": "24.04"}, ["virtual"]),
        ({"ID": "fedora", "VERSION_ID": "43"}, []),
    ],
)
def test_each_distribution_has_its_kernels(
    system: dict[str, str], names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert [row.name for row in kernels.KERNELS if row.is_of_this_machine] == names
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not [row for row in kernels.KERNELS if row.is_of_this_machine]


SILENCE = """\
make: Entering directory '/usr/src/linux-headers-6.1.0-7-cloud-amd64'
warning: the compiler differs from the one used to build the kernel
  The kernel was built by: gcc-12 (Debian 12.2.0-14) 12.2.0
  You are using:           gcc-13 (Debian 13.2.0-1) 13.2.0
  CC [M]  /tmp/module/main.o
  SHIPPED /tmp/module/host.o
  MODPOST /tmp/module/Module.symvers
Skipping BTF generation for /tmp/module/module.ko due to unavailability of vmlinux
make: Leaving directory '/usr/src/linux-headers-6.1.0-7-cloud-amd64'
"""


@pytest.mark.parametrize(
    "line",
    [
        "/tmp/module/host.o: warning: objtool: f+0x15: 'naked' return found in RETHUNK build",
        'WARNING: modpost: "f" [/tmp/module/module.ko] has no CRC!',
        "/tmp/module/main.c:3:5: warning: no previous prototype for 'f' [-Wmissing-prototypes]",
        "    3 | int f(void)",
        "make[1]: *** [scripts/Makefile.modpost:129: /tmp/module/Module.symvers] Error 1",
    ],
)
def test_whatever_is_no_step_of_a_build_is_a_complaint(line: str) -> None:
    assert Built(0, SILENCE).complaints == []
    assert Built(0, f"{SILENCE}{line}\n").complaints == [line]
