"""The source that a run examined, found again by the names that git gives to contents.

A run keeps only these names. The text is taken from the project's directory while it is the same
there, else from git's objects, where every committed or added content stays; so what is shown
beside a figure is what was measured, or is not shown.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from typing import TYPE_CHECKING

from lionagi_qe.agents.finding import of_details
from lionagi_qe.agents.project.version_control import variables_of_git

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lionagi_qe.agents.base import Findings

_MOST_BYTES = 1024 * 1024
_TIMEOUT = 60.0


def source_names(root: Path, findings: Mapping[str, Findings]) -> dict[str, str]:
    """Return file -> name of its content, for all files that findings are about.

    Costs a read of each. Files outside the project, which a measured process may have named, and
    those above 1 MiB are left out.
    """
    named: dict[str, str] = {}
    for file in sorted(_files(findings)):
        content = _content(root, file)
        if content is not None:
            named[file] = content_name(content)
    return named


def read_sources(root: Path | None, names: Mapping[str, str]) -> dict[str, str]:
    """Return file -> text, for those whose examined content is still to be had.

    Args:
        root: the project's directory; None where there is none on this machine.
        names: as ``source_names`` returned them.

    """
    if root is None:
        return {}
    texts: dict[str, str] = {}
    others: dict[str, str] = {}
    for file, name in names.items():
        content = _content(root, file)
        if content is not None and content_name(content) == name:
            texts[file] = content.decode(errors="replace")
        else:
            others[file] = name
    return texts | _of_git(root, others)


def content_name(content: bytes) -> str:
    """Return the name that git gives to a file's content."""
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _files(findings: Mapping[str, Findings]) -> Iterable[str]:
    for found in findings.values():
        yield from found.details.get("measured_lines", {})
        yield from (finding.file for finding in of_details(found.details))


def _content(root: Path, file: str) -> bytes | None:
    try:
        path = (root / file).resolve()
        if not path.is_relative_to(root.resolve()) or not path.is_file():
            return None
        return path.read_bytes() if path.stat().st_size <= _MOST_BYTES else None
    except (OSError, ValueError):
        # No name that a file can have, or none that may be read.
        return None


def _of_git(root: Path, names: Mapping[str, str]) -> dict[str, str]:
    git = shutil.which("git")
    if not names or git is None:
        return {}
    try:
        answer = subprocess.run(  # noqa: S603 - git itself; only names of contents are handed over
            [git, "-C", str(root), "cat-file", "--batch"],
            # What a repository lacks git would fetch, by whichever program its settings name.
            env=variables_of_git() | {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"},
            input="".join(f"{name}\n" for name in names.values()).encode(),
            capture_output=True,
            check=False,
            timeout=_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return _batch(answer.stdout, list(names))


def _batch(output: bytes, files: list[str]) -> dict[str, str]:
    """Return file -> text from what ``git cat-file --batch`` wrote."""
    texts: dict[str, str] = {}
    at = 0
    for file in files:
        end = output.find(b"\n", at)
        words = output[at:end].split()
        at = end + 1
        if len(words) == 3 and words[1] == b"blob":  # noqa: PLR2004 - name, kind, size
            size = int(words[2])
            texts[file] = output[at : at + size].decode(errors="replace")
            at += size + 1
    return texts
