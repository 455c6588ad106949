"""Recording what processes do, so that nothing acknowledged is lost when they are killed.

What is judged, by function, with its arguments and result (all JSON data; a missing one is left
out):

- ``store`` key, value, ttl, if_revision, fence: revision; ``delete`` key, if_revision, fence: bool;
  ``increment`` key, amount, fence: sum; ``touch`` key, ttl: bool. A fence: ``{"lease", "token"}``.
- ``retrieve`` key: value, null for none; ``entry`` key: ``{"value", "revision"}`` or null;
  ``retrieve_many`` keys: values by key.
- ``store_many`` items: revisions by key; ``transaction`` changes (each with its ``function``), jobs
  (each with queue and job), acks (queue, job, claim): results by key.
- ``put`` queue, job; ``put_many`` queue, jobs; ``claim`` queue, limit, lease_ttl: a list of job,
  claim, attempt; ``ack``, ``retry_job``, ``release_job`` queue, job, claim. A job has a name of its
  own; a later claim a greater number. ``drained`` queue, at the end: ``{"dead"}``, names.
- ``acquire`` lease, ttl: token, null if it is another's; ``release`` lease, token: bool.
- ``watch`` watch, prefix; then ``change`` watch, key, kind, revision, value; ``watch_gap`` watch
  when it told that it is too old, ``watch_end`` watch once it had the time to tell the rest.
- ``join``, ``beat``, ``leave`` group, agent, ttl; ``gone`` group, agent: it was killed; ``alive``
  group: ids.
- ``stall`` since, until: this process did not run; ``fault`` kind: what was done to the system;
  ``closed`` with lists of what was left over.

Values are unique among those written to a key, and not null.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import AqeError, BackendUnavailableError, RevisionConflictError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from lionagi_qe.testing.history.operations import Outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call: its outcome, and what it returned or raised."""

    outcome: Outcome
    returned: Any = None
    error: BaseException | None = None


class Recorder:
    """Appends the calls of one process to a file: each event a line, by one system call.

    Args:
        path: the file; a new one for each process.
        process: its name in the history.

    """

    def __init__(self, path: Path, process: str) -> None:
        self.process = process
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._file)

    async def call(
        self,
        function: str,
        arguments: Mapping[str, Any],
        awaitable: Awaitable[Any],
        *,
        timeout: float | None = None,
        tell: Callable[[Any], Any] = lambda returned: returned,
    ) -> Answer:
        """Await a call and record it; return what became of it. A cancellation goes on.

        Args:
            function: what is called, by the names of this module.
            arguments: what it is called with.
            awaitable: the call.
            timeout: seconds within which it is to be answered.
            tell: makes JSON data of what it returned.

        """
        number = self._invoke(function, arguments, timeout)
        try:
            returned = await awaitable
        except BaseException as error:
            outcome = outcome_of(error)
            self._answer(number, outcome, _details(error), type(error).__name__)
            if not isinstance(error, Exception):
                raise
            return Answer(outcome, error=error)
        self._answer(number, "ok", tell(returned))
        return Answer("ok", returned)

    def note(self, function: str, arguments: Mapping[str, Any], result: Any = None) -> None:
        """Record an observation."""
        self._answer(self._invoke(function, arguments, None), "ok", result)

    def _invoke(self, function: str, arguments: Mapping[str, Any], timeout: float | None) -> int:
        number = next(self._numbers)
        event = {"process": self.process, "function": function, "arguments": arguments}
        self._write(number, "invoke", {**event, "timeout": timeout})
        return number

    def _answer(self, number: int, outcome: Outcome, result: object, error: str = "") -> None:
        self._write(number, outcome, {"result": result, "error": error})

    def _write(self, number: int, phase: str, event: Mapping[str, Any]) -> None:
        line = {"call": number, "phase": phase, "at": time.monotonic(), **event}
        os.write(self._file, json.dumps(line).encode() + b"\n")


def outcome_of(error: BaseException) -> Outcome:
    """Return what an error of a call says about its effect."""
    if isinstance(error, BackendUnavailableError):
        return "info" if error.outcome == "unknown" else "fail"
    # All others of the package say that nothing was changed; what is not of it says nothing.
    return "fail" if isinstance(error, AqeError) else "info"


def _details(error: BaseException) -> Any:
    if isinstance(error, RevisionConflictError):
        return {"key": error.key, "expected": error.expected, "actual": error.actual}
    return str(error)
