"""What a run is asked for, made from what a caller names and what the project says of itself."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.flaky.quarantine import read_quarantine
from lionagi_qe.agents.project.metadata import project_name
from lionagi_qe.agents.project.settings import read_pyproject, settings_of
from lionagi_qe.agents.static.baseline import read_baseline
from lionagi_qe.errors import ProjectError
from lionagi_qe.fleet.project_memory import default_memory
from lionagi_qe.persistence.connect import URL_VARIABLE
from lionagi_qe.persistence.memory import Memory
from lionagi_qe.persistence.values.keys import DEFAULT_FLEET
from lionagi_qe.persistence.values.url import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.agents.base import Agent
    from lionagi_qe.agents.project.settings import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked for.

    Attributes:
        path: the user's tree.
        project: the name under which results are kept.
        pyproject: the project's metadata.
        settings: limits and gate.
        agents: names of those wanted, or agents of the caller's own; those that they need come
            along.
        python: the project's own interpreter; None for a cached environment.
        memory: where results are kept: a URL, or an open memory, which stays open.
        budget: most seconds in all; None for no limit.
        base: a commit to compare with.
        resume: go on with the project's last run that did not end, as it was asked for.
        fleet: whose part of the memory the results are kept in; of an open memory, its own.
        stand_in: an agent of the name of one of ours, which takes its place.
        allow_unsigned: trust whoever can write to the memory with the results of workers.
    """

    path: Path
    project: str
    pyproject: dict[str, Any]
    settings: Settings
    agents: Sequence[str | Agent]
    python: Path | None
    memory: str | Memory = field(repr=False)
    budget: float | None = None
    base: str | None = None
    resume: bool = False
    fleet: str = DEFAULT_FLEET
    stand_in: Agent | None = None
    allow_unsigned: bool = False

    @property
    def memory_url(self) -> str:
        """The URL of the memory; ProjectError for an open one, which has none to tell."""
        if isinstance(self.memory, Memory):
            raise ProjectError("this run's memory was handed over open; name its URL instead")
        return self.memory

    @property
    def shown_url(self) -> str:
        """Where results are kept, without secrets."""
        if isinstance(self.memory, Memory):
            return f"a memory of the caller's ({self.memory.capabilities.name})"
        return redact(self.memory)


def request_for(  # noqa: PLR0913 - keyword-only settings with defaults
    path: str | os.PathLike[str],
    *,
    agents: Sequence[str | Agent],
    memory: str | Memory | None = None,
    fleet: str = DEFAULT_FLEET,
    python: str | os.PathLike[str] | None = None,
    budget: float | None = None,
    base: str | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    allow_unsigned: bool = False,
) -> Request:
    """Return the request for a run on the project in a directory; see ``run.examine``.

    Raises:
        ProjectError: there is no such directory or interpreter, or the project's settings, or
            those given, are not valid.

    """
    project = Path(path).resolve()
    if not project.is_dir():
        raise ProjectError(f"{path}: is no directory; name the project's directory")
    pyproject = read_pyproject(project)
    chosen = settings_of(project, pyproject, dict(settings or {}))
    name = chosen.project or project_name(project, pyproject)
    if memory is None:
        memory = os.environ.get(URL_VARIABLE) or default_memory(project, name)
    return Request(
        project,
        name,
        pyproject,
        chosen,
        list(agents),
        None if python is None else _interpreter(python),
        memory,
        budget,
        base,
        resume,
        fleet,
        allow_unsigned=allow_unsigned,
    )


def with_readable_lists(request: Request, writes: Path | None = None) -> Request:
    """Return the request without lists that the run is yet to write.

    Args:
        request: names a baseline and a quarantine, or not.
        writes: a list that the caller will write after the run.

    Raises:
        ProjectError: another list is missing or unreadable: the gate would pass without it.

    """
    settings = request.settings
    for name, read in (("baseline", read_baseline), ("quarantine", read_quarantine)):
        listed = getattr(settings, name)
        if listed is None:
            continue
        if writes is not None and not (request.path / listed).exists():
            settings = dataclasses.replace(settings, **{name: None})
        else:
            read(request.path / listed)
    return dataclasses.replace(request, settings=settings)


def _interpreter(python: str | os.PathLike[str]) -> Path:
    if not Path(python).is_file():
        raise ProjectError(f"python {python}: no such file; for example .venv/bin/python")
    # Not resolved: an interpreter finds its environment by the path it is called by.
    return Path(os.path.abspath(python))  # noqa: PTH100
