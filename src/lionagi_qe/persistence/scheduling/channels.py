"""The four kinds of flights of a memory, and how a backend performs each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.jobs import Step
from lionagi_qe.persistence.scheduling.batch import Flight, Lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.backend import Backend
    from lionagi_qe.persistence.contract.jobs import JobBackend


class Lanes:
    """Lanes for writes, operations on jobs, and reads of payloads and of whole records.

    Args:
        backend: performs the flights.
        jobs: returns its work queues; raises ConfigurationError if it has none.
        wrote: called when a flight of writes has ended, however it did.
    """

    def __init__(
        self, backend: Backend, *, jobs: Callable[[], JobBackend], wrote: Callable[[], None]
    ) -> None:
        self._backend = backend
        self._jobs = jobs
        self._wrote = wrote
        lane = partial(
            Lane,
            max_flights=backend.capabilities.max_flights,
            max_calls=backend.capabilities.max_flight_calls,
        )
        self.writes = lane(self._perform_writes, mutates=True)
        self.jobs = lane(self._perform_jobs, mutates=True)
        self.payloads = lane(self._perform_payloads, mutates=False)
        self.records = lane(self._perform_records, mutates=False)

    async def _perform_writes(self, flight: Flight) -> Sequence[Any]:
        try:
            if not flight.alone:
                return await self._backend.write(flight.items, atomic=False)
            item = flight.items[0]
            if isinstance(item, Step):
                return [await self._jobs().transact(item)]
            return [await self._backend.write(item, atomic=True)]
        finally:
            self._wrote()

    async def _perform_jobs(self, flight: Flight) -> Sequence[Any]:
        if flight.alone:
            return [await self._jobs().write(flight.items[0])]
        return await self._jobs().write(flight.items)

    def _perform_payloads(self, flight: Flight) -> Awaitable[Sequence[Any]]:
        if flight.alone:
            return _as_one(self._backend.read_payloads(flight.items[0]))
        return _read_distinct(self._backend.read_payloads, flight.items)

    def _perform_records(self, flight: Flight) -> Awaitable[Sequence[Any]]:
        return _read_distinct(self._backend.read_records, flight.items)


async def _as_one(answer: Awaitable[Any]) -> Sequence[Any]:
    return [await answer]


def _read_distinct(
    read: Callable[[Sequence[str]], Awaitable[list[Any]]], keys: list[str]
) -> Awaitable[Sequence[Any]]:
    """Read each key once, however many ask for it: a value may be large."""
    distinct = {*keys}
    return read(keys) if len(distinct) == len(keys) else _read_repeated(read, keys, [*distinct])


async def _read_repeated(
    read: Callable[[Sequence[str]], Awaitable[list[Any]]], keys: list[str], distinct: list[str]
) -> Sequence[Any]:
    found = dict(zip(distinct, await read(distinct), strict=True))
    return [found[key] for key in keys]
