"""git, for the copy of a project: its commit, a repository of its own, the version that it tells.

Builds read versions from git (setuptools_scm, hatch-vcs, versioneer), and tests call it. The copy
gets a repository that borrows the user's objects and shares nothing that can be written.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.isolation import ask, isolation

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMEOUT = 30
# What in a build's files says that the version comes from version control.
_READS_VERSION = re.compile(
    r"setuptools[-_]scm|vcs[-_]versioning|hatch[-_]vcs|versioningit|versioneer|dunamai|flit[-_]scm|"
    r"setuptools[-_]git[-_]versioning|poetry[-_]dynamic[-_]versioning|\bpbr\b|"
    r"source\s*=\s*[\"']scm[\"']|git describe"
)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


def _ask(
    project: Path, *arguments: str, reads: Sequence[Path] = (), writes: Sequence[Path] = ()
) -> str | None:
    """Return what git says in a directory; None if it says no, or there is no git."""
    git = shutil.which("git")
    if git is None:
        return None
    # No lock files, no hooks of the repository: looking must not write or run anything.
    command = [git, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    try:
        answer = ask(
            [*command, "-C", str(project), *arguments],
            variables_of_git(),
            timeout=_TIMEOUT,
            reads=[project, *repositories_of(project), *reads],
            writes=writes,
        )
    except subprocess.TimeoutExpired:
        return None
    return answer.stdout.decode("utf-8", "replace").strip() if answer.returncode == 0 else None


def variables_of_git() -> dict[str, str]:
    """Return the environment in which git only looks, at the directory that it is told."""
    own = {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    if isolation() is not None:
        return {"PATH": os.environ.get("PATH", os.defpath)} | own
    # git's hooks set variables that name the user's repository whatever the directory is.
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | own


def repositories_of(project: Path) -> list[Path]:
    """Return the repository that a directory is in, as a list; one that lies elsewhere is not.

    Nor is one that a link leads to: whoever made the project would choose what is opened by it.
    """
    found = (place / ".git" for place in (project, *project.parents) if (place / ".git").is_dir())
    return [place for place in itertools.islice(found, 1) if not place.is_symlink()]


def commit_of(project: Path) -> str | None:
    """Return the commit that git has checked out, ``-dirty`` appended if files differ from it."""
    commit = _ask(project, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    changes = _ask(project, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    return f"{commit}-dirty" if changes else commit


def place_in_repository(project: Path) -> str:
    """Return a directory's place below the top of its work tree, as ``packages/shop/``; "" for it.

    Where there is no git it is "", too: then nobody knows of more than the project.
    """
    return _ask(project, "rev-parse", "--show-prefix") or ""


def commits_between(project: Path, old: str | None, new: str | None) -> int | None:
    """Return how many commits lead from one to another; None unless both are clean, and it does.

    Args:
        project: a directory in the repository.
        old: as ``commit_of`` returned it.
        new: as above.

    """
    if old is None or new is None or not (_COMMIT.fullmatch(old) and _COMMIT.fullmatch(new)):
        return None
    if _ask(project, "merge-base", "--is-ancestor", old, new) is None:
        return None
    counted = _ask(project, "rev-list", "--count", f"{old}..{new}")
    return int(counted) if counted else None


def tracked_files(project: Path) -> list[str] | None:
    """Return the files that git tracks in a directory; None without git."""
    listed = _ask(project, "ls-files", "-z", "--", ".")
    return None if listed is None else [name for name in listed.split("\0") if name]


def give_repository(project: Path, copy: Path) -> bool:
    """Give a copy of a project its own repository with the same history; return whether it has one.

    Only for a project that is the top of its work tree. Costs three commands of git, whatever the
    size of the history: the copy's repository names the user's as where its objects are.
    """
    top = _ask(project, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != project.resolve():
        return False
    if _ask(project, "rev-parse", "--verify", "HEAD") is None:
        return False
    with tempfile.TemporaryDirectory(dir=copy.parent) as folder:
        # Without templates: they may hold hooks.
        words = ["clone", "--quiet", "--shared", "--no-checkout", "--template="]
        origin = str(project.resolve())
        if _ask(project, *words, "--", origin, f"{folder}/clone", writes=[Path(folder)]) is None:
            return False
        shutil.move(f"{folder}/clone/.git", copy / ".git")
    # A push from the copy must not reach the user's repository.
    borrowed = repositories_of(project)
    ready = _ask(copy, "remote", "remove", "origin", reads=borrowed, writes=[copy]) is not None
    ready = ready and _ask(copy, "read-tree", "HEAD", reads=borrowed, writes=[copy]) is not None
    if not ready:
        shutil.rmtree(copy / ".git")
    return ready


def reads_version(project: Path) -> bool:
    """Whether the project's build takes its version from version control."""
    for name in _BUILD_FILES:
        path = project / name
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            if _READS_VERSION.search(text):
                return True
    return False


def described(project: Path) -> str | None:
    """Return the last tag, the commits since and the commit, as ``git describe`` writes them."""
    return _ask(project, "describe", "--tags", "--long", "--always")


def version_of(project: Path) -> str | None:
    """Return the project's version as its unpacked metadata or the tag before its commit tell it.

    For builds of a copy without a repository. A commit after a tag is a post-release of it.
    """
    metadata = project / "PKG-INFO"
    if metadata.is_file():
        text = metadata.read_text(encoding="utf-8", errors="replace")
        if match := re.search(r"^Version: *(\S+)", text, re.MULTILINE):
            return match[1]
    tag = re.fullmatch(r"(?:.*[-_/])?v?(\d[a-z0-9.]*)-(\d+)-g[0-9a-f]+", described(project) or "")
    if tag is None:
        return None
    return tag[1] if tag[2] == "0" else f"{tag[1]}.post{tag[2]}"
