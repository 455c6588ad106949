"""How long tests take, as all shards of one division have to know it alike.

A file is best: each shard reads the same. Without one, a memory that several machines share
decides once for a tree and a number of shards: ``aqe/shards/<project>/<tree>/<shards>`` names the
run whose durations count, for a week, so that a shard that is started again divides as before.
"""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import InvalidArgumentError, RevisionConflictError
from lionagi_qe.fleet.key_segments import project_segment
from lionagi_qe.fleet.run_history import RunHistory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lionagi_qe.fleet.run_record import HasFindings
    from lionagi_qe.persistence import Memory

SCHEMA = 1
_TTL_SECONDS = 7 * 24 * 3600
# What is committed should not change more than it has to.
_DIGITS = 2
_NOT_TIMED = frozenset({"not_run", "unimportable", "interrupted"})


@dataclass(frozen=True, slots=True)
class Durations:
    """How long tests took.

    Attributes:
        seconds: by test.
        origin: where that is from, for people.
    """

    origin: str
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])


def read_durations(file: Path) -> Durations:
    """Return the durations in a file; none, where there is no such file yet.

    Raises:
        InvalidArgumentError: it holds none.

    """
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return Durations(f"no durations: {file} is not there yet")
    try:
        document = json.loads(text)
        seconds = _checked(document["seconds"]) if document["schema"] == SCHEMA else None
    except (ValueError, TypeError, LookupError, AttributeError):
        seconds = None
    if seconds is None:
        raise InvalidArgumentError(
            f"--durations {file}: holds no durations of aqe; write it with "
            f"aqe merge --report durations={file}"
        )
    return Durations(f"durations of {file}", seconds)


def _checked(seconds: Mapping[str, Any]) -> dict[str, float] | None:
    sound = all(
        isinstance(taken, int | float) and math.isfinite(taken) and taken >= 0
        for taken in seconds.values()
    )
    return {test: float(taken) for test, taken in seconds.items()} if sound else None


def as_durations(found: HasFindings) -> str:
    """Return the durations of a run's tests as a file, a line each in the order of their names.

    What pytest takes for a test beside its phases counts as well: of short tests it is the most.
    Fixtures of the session don't: each shard sets them up, in another test than the whole run did.
    """
    tests = found.detail("test-executor", "tests")
    overhead = found.detail("test-executor", "overhead") or 0.0
    seconds = {
        test["id"]: float(
            f"{max(test['seconds'] - test.get('shared', 0.0), 0.0) + overhead:.{_DIGITS}g}"
        )
        for test in tests
        if test["outcome"] not in _NOT_TIMED
    }
    document = {"schema": SCHEMA, "seconds": dict(sorted(seconds.items()))}
    return json.dumps(document, indent=0) + "\n"


async def durations_of(memory: Memory, project: str, tree: str, of: int) -> Durations:
    """Return the durations that a memory holds for all shards of a tree.

    Costs a write, and a scan of the tests' histories.
    """
    history = RunHistory(memory, project)
    key = f"aqe/shards/{project_segment(project)}/{tree}/{of}"
    with contextlib.suppress(RevisionConflictError):
        latest = await history.latest()
        await memory.store(key, {"run": latest}, ttl=_TTL_SECONDS, if_revision=0)
    decided = await memory.retrieve(key)
    run: str | None = decided["run"]
    if run is None:
        return Durations("no durations: the memory had no run of the project")
    return Durations(f"durations of the run {run}", await history.seconds_in(run))
