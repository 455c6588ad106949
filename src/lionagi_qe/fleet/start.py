"""How a run begins: as a new one, or as one that another process began and did not end."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.project.settings import Settings
from lionagi_qe.coordination import Presence
from lionagi_qe.errors import ProjectError, UntrustedResultError
from lionagi_qe.fleet.checkpoint import Checkpoint, unfinished
from lionagi_qe.fleet.registry import name_of
from lionagi_qe.fleet.result_signatures import ResultSignatures
from lionagi_qe.fleet.run_ids import new_run_id
from lionagi_qe.fleet.signatures import SigningKeys
from lionagi_qe.fleet.source_archive import digest_of

if TYPE_CHECKING:
    from lionagi_qe.agents.project.workspace import Workspace
    from lionagi_qe.fleet.request import Request
    from lionagi_qe.persistence import Memory

_GROUP = "commanders"
_PRESENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Started:
    """A run that has begun.

    Attributes:
        run: its id.
        at: when it began, UTC.
        began: the same by ``time.monotonic``, less what another process spent on it before.
        request: what it is asked for.
        tree: a hash of the project's files.
    """

    run: str
    at: datetime
    began: float
    request: Request
    tree: str

    def checkpoint(self, memory: Memory) -> Checkpoint:
        """Return the run's checkpoint."""
        return _checkpoint(memory, self.request, self.run, self.tree)

    def presence(self, memory: Memory) -> Presence:
        """Return what shows that somebody is at work on the run."""
        return _presence(memory, self.run)

    async def note(self, memory: Memory) -> None:
        """Note in the checkpoint what another process needs to go on with the run."""
        request = self.request
        await self.checkpoint(memory).begin(
            {
                "run": self.run,
                "at": self.at.isoformat(),
                "tree": self.tree,
                "agents": [name_of(agent) for agent in request.agents],
                "budget": request.budget,
                "base": request.base,
                "python": None if request.python is None else str(request.python),
                "settings": request.settings.as_data(),
            }
        )


async def start(memory: Memory, request: Request, workspace: Workspace, began: float) -> Started:
    """Begin a run, or go on with one.

    Args:
        memory: where runs are kept.
        request: what is asked for.
        workspace: the project's copy.
        began: by ``time.monotonic``, when this process began.

    Raises:
        ProjectError: there is no run to resume, somebody is at work on it, or the project's files
            are not those that it was about.
        UntrustedResultError: no key that is trusted here has signed what the run was asked for.

    """
    tree = await asyncio.to_thread(digest_of, workspace.pristine)
    if not request.resume:
        return Started(new_run_id(), datetime.now(UTC), began, request, tree)
    record = await unfinished(memory, request.project)
    if record is None:
        raise ProjectError(
            f"--resume: {request.shown_url} holds no unfinished run of {request.project!r}; "
            "start one without --resume"
        )
    run: str = record["run"]
    checkpoint = _checkpoint(memory, request, run, tree)
    try:
        record = checkpoint.trusted_record(record)
    except UntrustedResultError as error:
        raise UntrustedResultError(
            f"--resume: {error}; or start a new run without --resume"
        ) from error
    await _check_left_alone(memory, run)
    if record["tree"] != tree:
        raise ProjectError(
            f"--resume: the files of {request.path} have changed since the run {run} began, so "
            "its results would not be theirs; start a new one without --resume"
        )
    spent = await checkpoint.spent()
    at = datetime.fromisoformat(record["at"])
    return Started(run, at, time.monotonic() - spent, _restored(request, record), tree)


def _checkpoint(memory: Memory, request: Request, run: str, tree: str) -> Checkpoint:
    signatures = ResultSignatures(
        SigningKeys.from_env(), memory.fleet, tree, checks=not request.allow_unsigned
    )
    return Checkpoint(memory, request.project, run, signatures)


def _restored(request: Request, record: dict[str, Any]) -> Request:
    python = record["python"]
    # Agents of the caller's own are not in the memory: they are those that it gives now.
    own = {agent.name: agent for agent in request.agents if not isinstance(agent, str)}
    return replace(
        request,
        agents=[own.get(name, name) for name in record["agents"]],
        budget=record["budget"],
        base=record["base"],
        python=None if python is None else Path(python),
        settings=Settings.of_data(record["settings"]),
    )


async def _check_left_alone(memory: Memory, run: str) -> None:
    """Raise ProjectError if the process that began a run is still there."""
    others = await _presence(memory, run).alive()
    other = next((each for each in others if each.agent_id == run), None)
    if other is None or (other.host == socket.gethostname() and not _lives(other.process)):
        return
    raise ProjectError(
        f"--resume: process {other.process} on {other.host} is at work on the run {run}; if it "
        f"was killed, try again in {_PRESENCE_SECONDS:g} s"
    )


def _presence(memory: Memory, run: str) -> Presence:
    return Presence(memory, run, ttl=_PRESENCE_SECONDS, group=_GROUP)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Another user's: it is there.
        return True
    return True
