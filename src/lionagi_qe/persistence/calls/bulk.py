"""The calls that copying stands on: entries as they are stored, values never decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lionagi_qe.errors import (
    ConfigurationError,
    InvalidArgumentError,
    RevisionConflictError,
    ValueTooLargeError,
)
from lionagi_qe.persistence.calls.base import MAX_BATCH, Calls
from lionagi_qe.persistence.encryption.backend import EncryptedBackend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.change_log import LogPage
    from lionagi_qe.persistence.contract.job_pages import ListedState
    from lionagi_qe.persistence.contract.operations import Put, Result
    from lionagi_qe.persistence.contract.records import Page, Record
    from lionagi_qe.persistence.encryption.resealing import Resealed
    from lionagi_qe.persistence.values.keys import KeyRange

T = TypeVar("T")


class BulkCalls(Calls):
    """Read and write pages of whole entries; each call is safe to repeat, and is repeated."""

    @property
    def max_value_bytes(self) -> int:
        """The longest value that is stored, in bytes of JSON."""
        return self._max_value_bytes

    async def clock(self) -> int:
        """Return the time in ms since 1970 by which this memory's entries expire."""
        log = self._scheduler.log
        return await self._scheduler.perform(log.clock, self._scheduler.deadline(None), repeat=True)

    async def begin(self, position: str | None) -> str:
        """Return the position before all that is stored, or the given one if it is sound.

        Reading from it tells of removals only by chance, and goes on until ``finish``. Backends
        that keep something for it let that go after 7 days without it.
        """
        log, deadline = self._scheduler.log, self._scheduler.deadline(None)
        if position is None:
            return await self._scheduler.perform(
                lambda: log.start(oldest=True, removals=False), deadline, repeat=True
            )
        await self._scheduler.perform(lambda: log.check(position), deadline, repeat=True)
        return position

    async def read(self, position: str, prefix: str, limit: int) -> LogPage:
        """Read the next entries in the order of their changes; one prefix from first to last.

        WatchTooOldError if what was kept for it is gone: begin anew.
        """
        log = self._scheduler.log
        return await self._scheduler.perform(
            lambda: log.read(position, prefix, limit, values=True, bury=False),
            self._scheduler.deadline(None),
            repeat=True,
        )

    async def finish(self, position: str) -> None:
        """Let go what is kept for reading from this position on, and from all since ``begin``."""
        log, more = self._scheduler.log, True
        while more:
            more = await self._scheduler.perform(
                lambda: log.finish(position, MAX_BATCH), self._scheduler.deadline(None), repeat=True
            )

    async def page(self, keys: KeyRange, limit: int, partition: str | None) -> Page:
        """Read the next entries in the order of their keys."""
        return await self._scheduler.ask(
            lambda backend: backend.page(keys, limit, partition), self._scheduler.deadline(None)
        )

    async def find(self, keys: Sequence[str]) -> list[Record | None]:
        """Read entries by key."""
        if not keys:
            return []
        return await self._scheduler.ask(
            lambda backend: backend.read_records(keys), self._scheduler.deadline(None)
        )

    async def reseal(self, keys: KeyRange, limit: int) -> Resealed:
        """Seal the next entries in the order of their keys by the newest key, unless they are."""
        backend = self._encrypted()
        return await self._repeated(lambda: backend.reseal(keys, limit))

    async def reseal_jobs(self, queue: str, state: ListedState, after: str, limit: int) -> Resealed:
        """Seal the texts of the next jobs in a state by the newest key, unless they are."""
        resealer = self._encrypted().coordination_resealer
        return await self._repeated(lambda: resealer.jobs(queue, state, after, limit))

    async def batches(self, queue: str, after: str, limit: int) -> tuple[list[str], str | None]:
        """Return a page of the ids of a queue's batches, and behind which the next one is."""
        resealer = self._encrypted().coordination_resealer
        return await self._repeated(lambda: resealer.batches(queue, after, limit))

    async def reseal_batch(self, queue: str, batch_id: str, after: str, limit: int) -> Resealed:
        """Seal what a batch keeps of a page of its jobs by the first of the keys."""
        resealer = self._encrypted().coordination_resealer
        return await self._repeated(lambda: resealer.batch_jobs(queue, batch_id, after, limit))

    async def reseal_schedules(self, queue: str) -> Resealed:
        """Seal the schedules of a queue by the newest key, unless they are."""
        resealer = self._encrypted().coordination_resealer
        return await self._repeated(lambda: resealer.schedules(queue))

    async def reseal_leases(self, after: str, limit: int) -> Resealed:
        """Seal the holders of the next leases by the newest key, unless they are."""
        resealer = self._encrypted().coordination_resealer
        return await self._repeated(lambda: resealer.leases(after, limit))

    async def _repeated(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._scheduler.perform(call, self._scheduler.deadline(None), repeat=True)

    def _encrypted(self) -> EncryptedBackend:
        backend = self._scheduler.backend
        if not isinstance(backend, EncryptedBackend):
            raise ConfigurationError(
                "sealing anew needs the whole of a memory with keys: open it with "
                "keys=KeyRing.from_env(), or with ?keys=VARIABLE in its URL, not through a scope"
            )
        return backend

    async def write(self, puts: Sequence[Put]) -> list[Result]:
        """Store entries in order, each for itself; a RevisionConflictError is a result.

        It is none where the answer of the first sending was lost and the entry is as it was to be.
        """
        for put in puts:
            if len(put.payload) > self._max_value_bytes:
                msg = (
                    f"{put.key!r}: value of {len(put.payload)} bytes of JSON; this memory takes "
                    f"up to {self._max_value_bytes}; open it with a larger max_value_bytes"
                )
                raise ValueTooLargeError(msg)
        if len({put.key for put in puts}) < len(puts):
            msg = "a page of entries has a key twice"
            raise InvalidArgumentError(msg)
        backend = self._scheduler.backend
        sent: list[int] = []

        async def send() -> list[Result]:
            sent.append(len(puts))
            return await backend.write(puts, atomic=False)

        results = await self._scheduler.perform(send, self._scheduler.deadline(None), repeat=True)
        return results if len(sent) == 1 else await self._settled(puts, results)

    async def _settled(self, puts: Sequence[Put], results: list[Result]) -> list[Result]:
        """Return the results of what was sent twice: who conflicts with itself was stored."""
        refused = [at for at, each in enumerate(results) if isinstance(each, RevisionConflictError)]
        held = await self.find([puts[at].key for at in refused])
        for at, theirs in zip(refused, held, strict=True):
            if theirs is not None and _is_as_sent(puts[at], theirs):
                results[at] = theirs.revision
        return results


def _is_as_sent(put: Put, held: Record) -> bool:
    payload = held.payload.encode() if isinstance(held.payload, str) else held.payload
    return payload == put.payload and held.partition == put.partition
