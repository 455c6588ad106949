"""The executor whose workers are those of a Dask scheduler.

Each task goes to a worker that has none of this run: a Dask worker may have many threads, and ours
start processes. So it is known to whom contents have to be sent, and who was lost with what.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.base import Findings
from lionagi_qe.errors import AqeError, ConfigurationError, InvalidValueError, JobFailedError
from lionagi_qe.fleet import serialization
from lionagi_qe.fleet.blobs import MAX_BLOB_BYTES
from lionagi_qe.fleet.channels import MAX_ATTEMPTS
from lionagi_qe.fleet.commander import Carried
from lionagi_qe.fleet.executors import dask_worker
from lionagi_qe.fleet.executors.dask_connection import LOST, connected, fitting
from lionagi_qe.fleet.executors.executor import PATIENCE, PATROL_SECONDS, WorkersGoneError
from lionagi_qe.fleet.signatures import SigningKeys
from lionagi_qe.persistence.server_support.server_clock import ServerClock
from lionagi_qe.persistence.values.redacted_text import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Client

    from lionagi_qe.fleet.task import Task

# An answer of the scheduler; one that takes longer is gone.
_ANSWER_SECONDS = 30.0
_PIECE_BYTES = 8 * 1024 * 1024


class _AttemptError(AqeError):
    """A worker was lost with a task, or failed at it."""


class DaskExecutor:
    """Carries out tasks on the workers of a Dask scheduler; made by ``connect``."""

    keeps_results = False

    def __init__(self, client: Client, shown: str, fleet: str) -> None:
        # Dask's methods are typed as they are where nothing is asynchronous.
        self._client: Any = client
        self._shown = shown
        self._fleet = fleet
        self._keys = SigningKeys.from_env()
        self._clock = ServerClock(self._scheduler_ms)
        self._contents: dict[str, bytes] = {}
        self._sending: dict[str, asyncio.Lock] = {}
        self._fits: dict[str, str | None] = {}
        self._busy: set[str] = set()
        self._gone: str | None = None
        self._closed = False
        self.notes: list[str] = []

    @classmethod
    async def connect(cls, chosen: str, fleet: str) -> DaskExecutor:
        """Connect to the scheduler at an address.

        Raises:
            BackendUnavailableError: nobody answers there.
            ConfigurationError: Dask is not installed, TLS is not set, or this package is missing
                there or of another version.

        """
        executor = cls(await connected(chosen), chosen, fleet)
        try:
            misfits = await executor._get_to_know()
            executor._check(misfits)
        except BaseException:
            await executor.close()
            raise
        return executor

    async def workers(self) -> int:
        """Return how many workers could be given a task."""
        found = len(await self._load())
        if not found and self._gone is None:
            self._note(f"executor {self._shown}: there was no worker, so work was done here")
        return found

    async def put(self, content: bytes) -> str:
        """Keep a content for whichever workers will need it."""
        if len(content) > MAX_BLOB_BYTES:
            raise AqeError(
                f"{len(content):,} bytes are too many for workers, which take {MAX_BLOB_BYTES:,}; "
                "leave large files out of the project, or say --executor local"
            )
        name = hashlib.sha256(content).hexdigest()
        self._contents[name] = content
        return name

    async def now(self) -> float:
        """Return the time of the scheduler in ms; this machine's when it is gone."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._clock.now()
        except LOST as error:
            self._lose(error)
            return time.time() * 1000

    async def carry_out(self, task: Task, tell: Callable[[str], None]) -> Carried:
        """Have a worker carry out a task; see ``Executor.carry_out``."""
        failures: list[str] = []
        tried: set[str] = set()
        while len(failures) < MAX_ATTEMPTS:
            address = await self._taken(tried)
            try:
                return await self._at(address, task)
            except _AttemptError as error:
                failures.append(str(error))
                tried.add(address)
                tell(f"{error}: again elsewhere")
            except LOST as error:
                raise self._lose(error) from error
            finally:
                self._busy.discard(address)
        raise JobFailedError(f"{failures[-1]} ({len(failures)} attempts)")

    async def close(self) -> None:
        """Release all tasks, which workers then end, and leave the scheduler."""
        if not self._closed:
            self._closed = True
            self._contents.clear()
            await self._client.close(timeout=5)

    async def _scheduler_ms(self) -> int:
        return int(await self._client.run_on_scheduler(time.time) * 1000)

    async def _load(self) -> dict[str, int]:
        """Return the workers that can carry out our tasks, and how many tasks of any kind each has.

        Empty once the scheduler is gone.
        """
        if self._gone is not None:
            return {}
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                load = await self._client.processing()
                if load.keys() - self._fits.keys():
                    for address, why in (await self._get_to_know()).items():
                        self._note(f"executor {self._shown}: {address} was given nothing: {why}")
        except LOST as error:
            self._lose(error)
            return {}
        return {
            address: len(tasks)
            for address, tasks in load.items()
            if self._fits.get(address, "") is None
        }

    async def _get_to_know(self) -> dict[str, str]:
        """Look what workers have installed; return those that don't fit, each with the reason."""
        found = await fitting(self._client)
        new = found.keys() - self._fits.keys()
        self._fits |= found
        return {address: why for address in new if (why := found[address]) is not None}

    def _check(self, misfits: dict[str, str]) -> None:
        if misfits:
            address, why = next(iter(misfits.items()))
            raise ConfigurationError(
                f"executor {self._shown}: {len(misfits)} of {len(self._fits)} workers can't do "
                f"aqe's work; {address}: {why}"
            )

    async def _taken(self, tried: set[str]) -> str:
        """Return a worker that has no task of this run, once there is one; it is busy from now on.

        Raises:
            WorkersGoneError: there is no worker any more.

        """
        alone = 0
        while True:
            load = await self._load()
            if self._gone is not None:
                raise WorkersGoneError(self._gone)
            alone = 0 if load else alone + 1
            if alone >= PATIENCE:
                raise WorkersGoneError("the last Dask worker has left")
            idle = load.keys() - self._busy
            if idle:
                address = min(idle, key=lambda each: (each in tried, load[each], each))
                self._busy.add(address)
                return address
            await asyncio.sleep(PATROL_SECONDS)

    async def _at(self, address: str, task: Task) -> Carried:
        """Have a worker carry out a task."""
        await self._send(address, (task.tree, task.content))
        payload = task.as_payload()
        if self._keys is not None:
            payload = self._keys.signed(payload, self._fleet)
        future = self._client.submit(
            dask_worker.carry_out,
            payload,
            self._fleet,
            key=f"aqe-{task.run}-{task.name}-{secrets.token_hex(4)}",
            workers=[address],
            allow_other_workers=False,
            pure=False,
        )
        try:
            return _carried(await self._watched(future, address))
        finally:
            if self._gone is None and not self._closed:
                await self._client.cancel([future])

    async def _watched(self, future: Any, address: str) -> Any:  # noqa: ANN401 - Dask's
        """Return a task's answer; _AttemptError if its worker is lost, or it failed there."""
        answering = asyncio.ensure_future(future)
        try:
            while not (await asyncio.wait([answering], timeout=PATROL_SECONDS))[0]:
                await self._check_there(address)
            return _answer(answering, future, address)
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _check_there(self, address: str) -> None:
        """Raise _AttemptError if a worker is lost, WorkersGoneError if its scheduler is."""
        if address in await self._load():
            return
        if self._gone is not None:
            raise WorkersGoneError(self._gone)
        raise _AttemptError(f"the worker {address} was lost")

    async def _send(self, address: str, names: tuple[str, ...]) -> None:
        """Send a worker what it does not have of these contents; each once, whoever asks."""
        async with self._sending.setdefault(address, asyncio.Lock()):
            lacking = await self._at_worker(address, dask_worker.missing, names)
            for name in lacking:
                content, transfer = self._contents[name], secrets.token_hex(8)
                starts = range(0, max(len(content), 1), _PIECE_BYTES)
                for number, start in enumerate(starts):
                    piece = content[start : start + _PIECE_BYTES]
                    last = start == starts[-1]
                    await self._at_worker(
                        address, dask_worker.receive, name, transfer, number, piece, last=last
                    )

    async def _at_worker(self, address: str, function: Any, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - Dask's
        answers = await self._client.run(
            function, *given, **named, workers=[address], on_error="return"
        )
        answer = answers.get(address, OSError("no answer"))
        if isinstance(answer, Exception):
            await self._check_there(address)
            raise _AttemptError(f"the worker {address} took no contents: {answer}") from answer
        return answer

    def _lose(self, error: BaseException) -> WorkersGoneError:
        """Take the scheduler for gone; return what to raise."""
        if self._gone is None:
            self._gone = f"the Dask scheduler at {self._shown} is gone"
            self._note(
                f"executor {self._shown}: the scheduler was lost ({_named(error)}), so the "
                "rest was done here"
            )
        return WorkersGoneError(self._gone)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _answer(answering: asyncio.Future[Any], future: Any, address: str) -> Any:  # noqa: ANN401 - Dask's
    """Return what a worker answered; _AttemptError for whatever was raised there."""
    error = answering.exception()
    if error is not None and future.status == "error":
        # No sign that the scheduler is gone, though it may be an OSError.
        raise _AttemptError(f"the worker {address} failed: {error}") from error
    return answering.result()


def _carried(answer: Any) -> Carried:  # noqa: ANN401 - from elsewhere
    """Return what a worker found, if it is that; InvalidValueError else."""
    try:
        packed, seconds = answer["packed"], float(answer["seconds"])
    except (TypeError, LookupError, ValueError) as error:
        raise InvalidValueError("what a Dask worker answered is no result of a task") from error
    findings = serialization.unpacked(packed)
    if not isinstance(findings, Findings):
        raise InvalidValueError("what a Dask worker answered holds no findings")
    return Carried(findings, seconds)


def _named(error: BaseException) -> str:
    if isinstance(error, CancelledError):
        return "the connection broke"
    return redact_text(f"{type(error).__name__}: {error}")[:200]
