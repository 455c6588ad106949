"""Source distributions: fetched by pip, unpacked, and known again by a digest."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

PACKAGES = Path(__file__).with_name("packages.toml")
_FETCH_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Package:
    """One line of ``packages.toml``.

    Attributes:
        name: of the distribution; behind a slash, of the directory in it that holds the project.
        version: of it.
        purpose: what it is in the corpus for.
        share: it belongs to the share that the ordinary suite runs.
        limit: most seconds of each run, where that is more than the usual.
        known: why its figures differ, or are missing, as somebody found out; "" if they don't.
        git: it is given a repository with a tag of its version, as a clone has.
    """

    name: str
    version: str
    purpose: str
    share: bool = False
    limit: float = 0.0
    known: str = ""
    git: bool = False

    def __str__(self) -> str:
        return self.label

    @property
    def distribution(self) -> str:
        """The name on PyPI."""
        return self.name.partition("/")[0]

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


def packages(path: Path = PACKAGES) -> list[Package]:
    """Return the corpus, in the order of the file."""
    with path.open("rb") as file:
        listed = tomllib.load(file)
    return [Package(name, **each) for name, each in listed.items()]


def fetch(package: Package, cache: Path) -> Path:
    """Return the archive of a package, fetched by pip the first time.

    pip has its build backend say the metadata, which takes a few seconds.

    Raises:
        subprocess.CalledProcessError: pip could not; its output is in ``stderr``.

    """
    folder = cache / f"{package.distribution}-{package.version}"
    if not folder.is_dir():
        unfinished = folder.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", package.distribution, "--dest", str(unfinished)]
        subprocess.run(
            [*command, f"{package.distribution}=={package.version}"],
            check=True,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
        )
        unfinished.rename(folder)
    return next(folder.iterdir())


def unpack(archive: Path, package: Package, place: Path) -> Path:
    """Unpack an archive into a new directory; return the project in it."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if archive.suffix == ".zip":
        shutil.unpack_archive(archive, place)
    else:
        with tarfile.open(archive) as tar:
            # Python 3.11.0 to 3.11.3 have no filters.
            tar.extraction_filter = getattr(tarfile, "tar_filter", None)
            tar.extractall(place)  # noqa: S202 - of PyPI, and checked by its digest
    (project,) = (path for path in place.iterdir() if path.is_dir())
    if package.git:
        _commit(project, package.version)
    return project / package.name.partition("/")[2]


def _commit(project: Path, version: str) -> None:
    identity = ["-c", "user.name=corpus", "-c", "user.email=corpus@example.org"]
    for words in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all", "--force"],
        [*identity, "commit", "--quiet", "--no-gpg-sign", "--message", version],
        ["tag", f"v{version}"],
    ):
        subprocess.run(["git", *words], cwd=project, check=True, capture_output=True, timeout=60)


def digest(project: Path) -> str:
    """Return what changes when a file's name, content, permissions or time of change do."""
    found = hashlib.sha256()
    for folder, names, files in os.walk(project):
        names.sort()
        for name in sorted([*names, *files]):
            path = Path(folder, name)
            status = path.lstat()
            fact = f"{path.relative_to(project)} {status.st_mode} "
            if not path.is_dir():
                fact += f"{status.st_size} {status.st_mtime_ns} "
            found.update(fact.encode(errors="surrogateescape"))
            if path.is_file() and not path.is_symlink():
                found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
