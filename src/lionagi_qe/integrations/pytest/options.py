"""What ``--aqe`` and its companions ask for, over what the project says in ``[tool.aqe]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.flaky.quarantine import read_quarantine
from lionagi_qe.agents.project.metadata import project_name
from lionagi_qe.agents.project.settings import read_pyproject, settings_of
from lionagi_qe.agents.project.time_span import seconds_of
from lionagi_qe.errors import AqeError, InvalidArgumentError
from lionagi_qe.fleet.project_memory import memory_around
from lionagi_qe.integrations.pytest import ASKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one session.

    Attributes:
        project: the project's directory.
        name: under which the project's results are kept.
        records: whether they are; else only the quarantine was asked for.
        url: of the memory; None for the one that the environment names, or the project's own.
        order: "learned" or "default".
        base: the commit to compare with; None where that leaves no test out.
        time: seconds for the likeliest tests to fail; None for no such limit.
        confidence: with which those that run are to find a failing run; None for no such limit.
        runs: how often new and changed tests run.
        quarantined: tests whose failures don't fail the session.
        learn: whether the session teaches.
        seconds: most that pytest waits for the memory.
    """

    project: Path
    name: str
    records: bool
    url: str | None
    order: str
    base: str | None
    time: float | None
    confidence: float | None
    runs: int
    quarantined: frozenset[str]
    learn: bool
    seconds: float

    @property
    def wants_plan(self) -> bool:
        """Whether the memory has to be asked before the tests run."""
        parts = (self.base, self.time, self.confidence)
        return self.order == "learned" or any(part is not None for part in parts) or self.runs > 1

    @classmethod
    def of(cls, config: pytest.Config) -> Options:
        """Return the options of a session.

        Raises:
            UsageError: one of them, or ``[tool.aqe]``, is wrong.

        """
        try:
            return cls._of(config)
        except AqeError as error:
            raise pytest.UsageError(str(error)) from error

    @classmethod
    def _of(cls, config: pytest.Config) -> Options:
        project = memory_around(config.rootpath).project
        pyproject = read_pyproject(project)
        settings = settings_of(project, pyproject, {"order": config.getoption("aqe_order")})
        return cls(
            project,
            settings.project or project_name(project, pyproject),
            any(config.getoption(name) is not None for name in ASKING),
            _url(config),
            # What "auto" needs, to see a failure in pytest's own order too, can't be had here.
            "learned" if settings.order == "learned" else "default",
            config.getoption("aqe_select"),
            *_part(config),
            _runs(config),
            _quarantined(config, project, settings.quarantine),
            settings.learn,
            _seconds(config),
        )


def _url(config: pytest.Config) -> str | None:
    url = config.getoption("aqe")
    if url and ":" not in url:
        # The word behind it, a path most likely, was taken for its value.
        raise pytest.UsageError(
            f"--aqe {url}: is no URL of a memory; write --aqe behind the paths, or --aqe=URL"
        )
    return url or None


def _part(config: pytest.Config) -> tuple[float | None, float | None]:
    """Return the time and the confidence that are asked for, of which one can be."""
    time, confidence = config.getoption("aqe_select_time"), config.getoption("aqe_confidence")
    if time is not None and confidence is not None:
        raise pytest.UsageError("--aqe-select-time and --aqe-confidence: choose one of them")
    if time is None:
        return None, None if confidence is None else _probability(confidence)
    try:
        return seconds_of(time), None
    except InvalidArgumentError as error:
        raise pytest.UsageError(f"--aqe-select-time: {error}") from error


def _probability(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise pytest.UsageError(
            f"--aqe-confidence {text}: should be between 0 and 1, 0.95 for example"
        )
    return number


def _runs(config: pytest.Config) -> int:
    runs = config.getoption("aqe_rerun_new")
    if runs is not None and runs < 2:  # noqa: PLR2004 - once is not again
        raise pytest.UsageError(f"--aqe-rerun-new {runs}: should be 2 or more")
    return runs or 1


def _quarantined(config: pytest.Config, project: Path, named: str | None) -> frozenset[str]:
    given = config.getoption("aqe_quarantine")
    if given is not None:
        path = config.invocation_params.dir / given if given else None
    else:
        path = project / named if named else None
    return frozenset() if path is None else read_quarantine(path)


def _seconds(config: pytest.Config) -> float:
    text = config.getini("aqe_timeout")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise pytest.UsageError(f"aqe_timeout = {text}: should be a number of seconds above 0")
    return seconds
