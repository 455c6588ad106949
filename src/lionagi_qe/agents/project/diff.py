"""What changed since a commit: the texts of the files that differ, on both sides."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.isolation import ask
from lionagi_qe.agents.project.version_control import repositories_of, variables_of_git
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lionagi_qe.agents.project.workspace import Workspace

_TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class Hunk:
    """A change: lines from ``first`` to before ``last``, from 1, on either side."""

    before_first: int
    before_last: int
    after_first: int
    after_last: int


@dataclass(frozen=True, slots=True)
class Change:
    """A file that differs; a side is None where it does not exist, or is no text."""

    before: tuple[str, ...] | None
    after: tuple[str, ...] | None

    @property
    def hunks(self) -> tuple[Hunk, ...]:
        """Return where it differs, in order."""
        matcher = SequenceMatcher(None, self.before or (), self.after or (), autojunk=False)
        return tuple(
            Hunk(i1 + 1, i2 + 1, j1 + 1, j2 + 1)
            for tag, i1, i2, j1, j2 in matcher.get_opcodes()
            if tag != "equal"
        )

    @property
    def added(self) -> frozenset[int]:
        """Return the lines that are new or changed, as they are numbered now."""
        return frozenset(
            line for hunk in self.hunks for line in range(hunk.after_first, hunk.after_last)
        )


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed since ``ref``, which is the commit ``base``; by name within the project."""

    ref: str
    base: str
    changes: Mapping[str, Change]

    def added(self, file: str) -> frozenset[int]:
        """Return the new or changed lines of a file; none if it did not change."""
        change = self.changes.get(file)
        return frozenset() if change is None else change.added


def diff_of(workspace: Workspace, ref: str) -> Diff:
    """Compare the workspace's pristine copy with a commit; see ``tree_diff``."""
    return tree_diff(workspace.project, workspace.pristine, ref)


def commit_named(project: Path, ref: str) -> str:
    """Return the commit that a name is of, as git knows it in a project's repository.

    Raises:
        ProjectError: there is no git, no repository, or no such commit.

    """
    names = ("rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}")
    return _git(_program(ref), project, ref, *names).decode().strip()


def tree_diff(project: Path, tree: Path, ref: str) -> Diff:
    """Compare a project's files with a commit of its repository.

    Files that git does not know yet count as new, unless it is told to ignore them.

    Args:
        project: the project's directory, in the repository.
        tree: where its files are read: the same, or a copy.
        ref: the commit, by any name that git knows.

    Raises:
        ProjectError: there is no git, no repository, or no such commit.

    """
    commit = commit_named(project, ref)
    git = _program(ref)
    listed = ("--name-only", "-z", "--no-renames", "--no-ext-diff", "--relative")
    names = _git(git, project, ref, "diff", *listed, commit, "--", ".")
    names += _git(git, project, ref, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
    changes: dict[str, Change] = {}
    for raw in sorted(set(filter(None, names.split(b"\0")))):
        name = os.fsdecode(raw)
        before = _before(git, project, commit, name)
        after = _text(tree / name)
        if before != after or before is None:
            changes[name] = Change(before, after)
    return Diff(ref, commit, changes)


def _program(ref: str) -> str:
    git = shutil.which("git")
    if git is None:
        raise ProjectError(f"--base {ref}: git is not installed, so nothing can be compared")
    return git


def _before(git: str, project: Path, commit: str, name: str) -> tuple[str, ...] | None:
    command = _command(git, project, "show", "--no-textconv", f"{commit}:./{name}")
    answer = _call(command, project)
    return _lines(answer.stdout) if answer.returncode == 0 else None


def _text(path: Path) -> tuple[str, ...] | None:
    return _lines(path.read_bytes()) if path.is_file() else None


def _lines(content: bytes) -> tuple[str, ...] | None:
    try:
        return tuple(content.decode().splitlines())
    except UnicodeDecodeError:
        return None


def _git(git: str, project: Path, ref: str, *arguments: str) -> bytes:
    answer = _call(_command(git, project, *arguments), project)
    if answer.returncode != 0:
        said = answer.stderr.decode(errors="replace")
        raise ProjectError(f"--base {ref}: {refusal(project, said)}")
    return answer.stdout


def refusal(project: Path, said: str) -> str:
    """Return why git does not compare a project with a commit, and what to do, from its words."""
    if "not a git repository" in said:
        return f"{project} is in no git repository, so there is nothing to compare; leave it out"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = next((line for line in lines if line.startswith("fatal: ")), "")
    if "dubious ownership" in fatal:
        return (
            f"git does not read {project}, whose repository belongs to another user "
            f"({fatal.removeprefix('fatal: ')}); if you trust it: {lines[-1]}"
        )
    if "Needed a single revision" in fatal:
        fatal = "its repository has no such commit"
    why = fatal or (lines[-1] if lines else "it does not say why")
    return f"git can't compare {project} with it: {why}; name a commit, branch or tag"


def _command(git: str, project: Path, *arguments: str) -> list[str]:
    # No lock files, no programs of the repository: looking must not write or run anything.
    quiet = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
    return [git, *quiet, "-C", str(project), *arguments]


def _call(command: list[str], project: Path) -> subprocess.CompletedProcess[bytes]:
    reads = [project, *repositories_of(project)]
    try:
        return ask(command, variables_of_git(), timeout=_TIMEOUT, reads=reads)
    except subprocess.TimeoutExpired as error:
        raise ProjectError(f"git did not answer within {_TIMEOUT} s: {command[-1]}") from error
