"""git, for the copy of a project: its commit, a repository of its own, the version that it tells.

Builds read versions from git (setuptools_scm, hatch-vcs, versioneer), and tests call it. The copy
gets a repository that borrows the user's objects and shares nothing that can be written.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_TIMEOUT = 30
# What in a build's files says that the version comes from version control.
_READS_VERSION = re.compile(
    r"setuptools[-_]scm|vcs[-_]versioning|hatch[-_]vcs|versioningit|versioneer|dunamai|flit[-_]scm|"
    r"setuptools[-_]git[-_]versioning|poetry[-_]dynamic[-_]versioning|\bpbr\b|"
    r"source\s*=\s*[\"']scm[\"']|git describe"
)
_BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


def _ask(project: Path, *arguments: str) -> str | None:
    """Return what git says in a directory; None if it says no, or there is no git."""
    git = shutil.which("git")
    if git is None:
        return None
    # No lock files, no hooks of the repository: looking must not write or run anything.
    command = [git, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    # git's hooks set variables that name the user's repository whatever the directory is.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env = {**inherited, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        answer = subprocess.run(  # noqa: S603 - git itself; arguments are ours
            [*command, "-C", str(project), *arguments],
            env=env,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return None
    return answer.stdout.decode("utf-8", "replace").strip() if answer.returncode == 0 else None


def commit_of(project: Path) -> str | None:
    """Return the commit that git has checked out, ``-dirty`` appended if files differ from it."""
    commit = _ask(project, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    changes = _ask(project, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    return f"{commit}-dirty" if changes else commit


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
        if _ask(project, *words, "--", str(project.resolve()), f"{folder}/clone") is None:
            return False
        shutil.move(f"{folder}/clone/.git", copy / ".git")
    # A push from the copy must not reach the user's repository.
    ready = _ask(copy, "remote", "remove", "origin") is not None
    ready = ready and _ask(copy, "read-tree", "HEAD") is not None
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
