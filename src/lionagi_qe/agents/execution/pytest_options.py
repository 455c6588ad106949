"""Which of the project's own pytest options hold for a measured run.

Left out of ``addopts`` are those that would measure a second time (pytest-cov), spread the tests
over processes where they can't be measured (xdist), hide tests (``-x``), record a run that is none
of the user's (``--aqe``), or wait for a person.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.built_files import sites_of
from lionagi_qe.agents.project.pytest_settings import (
    is_only_of_unittest,
    pytest_settings,
    words_in,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Option -> whether its value may follow as a word of its own.
_LEFT_OUT = {
    "--cov": False,
    "--cov-append": False,
    "--cov-branch": False,
    "--cov-config": True,
    "--cov-context": True,
    "--cov-fail-under": True,
    "--cov-precision": True,
    "--cov-report": True,
    "--cov-reset": False,
    "--no-cov": False,
    "--no-cov-on-fail": False,
    "-n": True,
    "--numprocesses": True,
    "--dist": True,
    "--maxprocesses": True,
    "--max-worker-restart": True,
    "--aqe": True,
    "--aqe-order": True,
    "--aqe-quarantine": True,
    "--aqe-rerun-new": True,
    "--aqe-select": True,
    "-x": False,
    "--exitfirst": False,
    "--maxfail": True,
    "--sw": False,
    "--stepwise": False,
    "--sw-skip": False,
    "--stepwise-skip": False,
    "--pdb": False,
    "--trace": False,
    "--co": False,
    "--collect-only": False,
}
_ATTACHED = re.compile(r"-n\d+|-nauto|-nlogical")
_UNKNOWN = re.compile(r"error: unrecognized arguments: (.+)")


@dataclass(frozen=True, slots=True)
class Addopts:
    """The project's ``addopts``, sorted into what holds and what is left out.

    Attributes:
        kept: options that hold.
        dropped: those that are left out.
        added: some of them are not in pytest's own settings.
    """

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    added: bool = False

    @property
    def arguments(self) -> list[str]:
        """What to tell pytest; nothing where the project's own words hold."""
        differ = self.dropped or self.added
        return ["-o", f"addopts={shlex.join(self.kept)}"] if differ else []

    def without(self, unknown: Sequence[str]) -> Addopts:
        """Return the options without those that pytest does not know here."""
        kept = tuple(option for option in self.kept if option not in unknown)
        dropped = (*self.dropped, *(option for option in self.kept if option in unknown))
        return Addopts(kept, dropped, self.added)


def addopts_of(project: Path, more: Sequence[str] = ()) -> Addopts:
    """Read and sort the ``addopts`` of the project in this directory.

    Args:
        project: the directory.
        more: options that the project gives pytest elsewhere.

    """
    kept: list[str] = []
    dropped: list[str] = []
    takes_value = False
    for word in [*words_in(pytest_settings(project), "addopts"), *more]:
        name = word.split("=", 1)[0]
        if takes_value and not word.startswith("-"):
            dropped.append(word)
            takes_value = False
        elif name in _LEFT_OUT or _ATTACHED.fullmatch(word):
            dropped.append(word)
            takes_value = _LEFT_OUT.get(name, False) and "=" not in word
        else:
            kept.append(word)
            takes_value = False
    return Addopts(tuple(kept), tuple(dropped), added=bool(more))


def blocked_plugins(python: Path) -> list[str]:
    """Return pytest's options against what another plugin adds of those that are left out.

    pytest-enabler turns pytest-cov on wherever both are installed, which would take the measurement
    away from ours.
    """
    enabler = ((site / "pytest_enabler").exists() for site in sites_of(python.parents[1]))
    return ["-p", "no:pytest_cov"] if any(enabler) else []


def unknown_options(output: str) -> list[str]:
    """Return the options that pytest refused because no plugin knows them."""
    found = _UNKNOWN.search(output)
    if found is None:
        return []
    try:
        return shlex.split(found[1])
    except ValueError:
        # pytest tells them without their quotes; one of them holds a quote.
        return found[1].split()


def names_of_test_files(project: Path) -> list[str]:
    """Return what tells pytest of files that unittest collects, ``tests.py`` say; else nothing.

    Nor where the project says itself what its test files are called.
    """
    if "python_files" in pytest_settings(project) or not any(
        map(is_only_of_unittest, project.rglob("test*.py"))
    ):
        return []
    return ["-o", "python_files=test*.py *_test.py"]
