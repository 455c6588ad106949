"""The four kinds of calls that are batched, and how a backend executes each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.jobs import TransactionOperations
from lionagi_qe.persistence.scheduling.batch import Channel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.backend import Backend
    from lionagi_qe.persistence.contract.jobs import JobBackend


class Channels:
    """Channels for writes, operations on jobs, and reads of payloads and of whole records.

    Args:
        backend: executes the calls.
        jobs: returns its work queues; raises ConfigurationError if it has none.
    """

    def __init__(self, backend: Backend, *, jobs: Callable[[], JobBackend]) -> None:
        self._jobs = jobs
        self._write_all = partial(backend.write, atomic=True)
        promised = backend.capabilities
        channel = partial(
            Channel,
            max_batches=promised.max_concurrent_batches,
            max_calls=promised.max_batch_calls,
        )
        self.writes = channel(
            partial(backend.write, atomic=False),
            mutates=True,
            execute_atomic=self._write_atomic,
        )
        self.jobs = channel(self._write_jobs, mutates=True, execute_atomic=self._write_jobs)
        self.payloads = channel(
            partial(_read_distinct, backend.read_payloads),
            mutates=False,
            execute_atomic=backend.read_payloads,
        )
        self.records = channel(partial(_read_distinct, backend.read_records), mutates=False)

    def _write_atomic(self, item: Any) -> Awaitable[Any]:  # noqa: ANN401
        return (
            self._jobs().transact(item)
            if isinstance(item, TransactionOperations)
            else self._write_all(item)
        )

    def _write_jobs(self, items: Sequence[Any]) -> Awaitable[list[Any]]:
        return self._jobs().write(items)


def _read_distinct(
    read: Callable[[Sequence[str]], Awaitable[list[Any]]], keys: list[str]
) -> Awaitable[list[Any]]:
    """Read each key once, however many ask for it: a value may be large."""
    distinct = {*keys}
    return read(keys) if len(distinct) == len(keys) else _read_repeated(read, keys, [*distinct])


async def _read_repeated(
    read: Callable[[Sequence[str]], Awaitable[list[Any]]], keys: list[str], distinct: list[str]
) -> list[Any]:
    found = dict(zip(distinct, await read(distinct), strict=True))
    return [found[key] for key in keys]
