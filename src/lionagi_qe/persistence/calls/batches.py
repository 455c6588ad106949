"""Calls on many entries at once, each one atomic step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from lionagi_qe.errors import BatchTooLargeError, InvalidArgumentError, InvalidValueError
from lionagi_qe.persistence.calls.base import MAX_BATCH_BYTES, Calls
from lionagi_qe.persistence.contract.leases import fence_of
from lionagi_qe.persistence.contract.operations import Delete, Put
from lionagi_qe.persistence.contract.records import entry_of
from lionagi_qe.persistence.values import keys as naming
from lionagi_qe.persistence.values.codec import decode, decode_as, encode
from lionagi_qe.persistence.values.entry import INHERIT, Item, check_list, check_revision, check_ttl
from lionagi_qe.persistence.values.keys import DEFAULT_PARTITION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from lionagi_qe.persistence.contract.leases import Fenced
    from lionagi_qe.persistence.contract.operations import Fence, Learn, Learned
    from lionagi_qe.persistence.values.entry import Entry, Inherit

T = TypeVar("T")


class BatchCalls(Calls):
    """Store, read and remove many entries in one round trip."""

    async def store_many(
        self,
        items: Mapping[str, Any],
        ttl: float | timedelta | Inherit | None = INHERIT,
        partition: str = DEFAULT_PARTITION,
        *,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> dict[str, int]:
        """Store all items in one atomic step (per shard on Redis Cluster); return the revisions.

        A value may be an ``Item`` with its own ttl, partition and if_revision; a ttl that neither
        gives is the memory's ``default_ttl``, None is for ever. One conflict, or a
        stale ``fence``, and nothing is stored. One round trip. BatchTooLargeError above
        ``max_batch``.
        """
        if not isinstance(items, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"items {items!r}: give a mapping of keys to values"
            raise InvalidArgumentError(msg)
        self._check_batch(len(items))
        ttl_ms = self._default_ttl_ms if ttl is INHERIT else check_ttl(ttl)
        naming.check_partition(partition)
        held = fence_of(fence)
        puts = [
            self._put(key, items[key], ttl_ms, partition, held)
            for key in sorted(map(naming.check_key, items))
        ]
        size = sum(len(put.payload) for put in puts)
        if size > MAX_BATCH_BYTES:
            msg = f"batch of {size} bytes: the limit is {MAX_BATCH_BYTES}; store it in parts"
            raise BatchTooLargeError(msg)
        revisions = await self._scheduler.write_batch(puts, size, self._scheduler.deadline(timeout))
        return dict(zip([put.key for put in puts], revisions, strict=True))

    def _put(
        self, key: str, value: object, ttl_ms: int | None, partition: str, fence: Fence | None
    ) -> Put:
        if not isinstance(value, Item):
            payload = encode(value, self._max_value_bytes)
            return Put(key, payload, partition, ttl_ms, None, False, fence)  # noqa: FBT003 - faster
        return Put(
            key,
            encode(value.value, self._max_value_bytes),
            partition if value.partition is INHERIT else naming.check_partition(value.partition),
            ttl_ms if value.ttl is INHERIT else check_ttl(value.ttl),
            check_revision(value.if_revision),
            fence=fence,
        )

    @overload
    async def retrieve_many(
        self, keys: Iterable[str], *, timeout: float | None = None
    ) -> dict[str, Any]: ...
    @overload
    async def retrieve_many(
        self, keys: Iterable[str], *, as_type: type[T], timeout: float | None = None
    ) -> dict[str, T]: ...
    async def retrieve_many(
        self,
        keys: Iterable[str],
        *,
        as_type: type[Any] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Return the values of those keys that exist, in the order asked. One round trip.

        With ``as_type`` each is validated and returned as that, as by ``retrieve``;
        InvalidValueError, which names the key, if one doesn't fit.
        """
        wanted = self._distinct(keys)
        payloads = await self._scheduler.read_batch(wanted, self._scheduler.deadline(timeout))
        return {
            key: decode(payload) if as_type is None else _decode_as(key, payload, as_type)
            for key, payload in zip(wanted, payloads, strict=True)
            if payload is not None
        }

    async def entries_many(
        self, keys: Iterable[str], *, timeout: float | None = None
    ) -> dict[str, Entry]:
        """Return the entries of those keys that exist, in the order asked. One round trip."""
        wanted = self._distinct(keys)
        if not wanted:
            return {}
        records = await self._scheduler.ask(
            lambda backend: backend.read_records(wanted),
            self._scheduler.deadline(timeout),
            "entries_many",
        )
        return {record.key: entry_of(record) for record in records if record is not None}

    async def delete_many(
        self,
        keys: Iterable[str],
        *,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> int:
        """Remove the entries in one atomic step (per shard on Redis Cluster); return how many."""
        wanted = sorted(self._distinct(keys))
        held = fence_of(fence)
        deleted = await self._scheduler.write_batch(
            [Delete(key, fence=held) for key in wanted], 0, self._scheduler.deadline(timeout)
        )
        return sum(deleted)

    async def learn_many(
        self, steps: Sequence[Learn], *, timeout: float | None = None
    ) -> list[Learned]:
        """Take learning steps on distinct keys, as one atomic step on the server.

        Per shard on Redis Cluster. For the policies in ``learning``, which check their arguments.
        One round trip; InvalidValueError and nothing changed if an entry holds anything else.
        """
        self._check_batch(len(steps))
        for step in steps:
            naming.check_key(step.key)
        return await self._scheduler.write_batch(
            sorted(steps, key=_key_of), 0, self._scheduler.deadline(timeout)
        )

    def _distinct(self, keys: Iterable[str]) -> list[str]:
        wanted = list(dict.fromkeys(map(naming.check_key, check_list("keys", keys))))
        self._check_batch(len(wanted))
        return wanted

    def _check_batch(self, size: int) -> None:
        if size > self._max_batch:
            msg = f"batch of {size} items: the limit is {self._max_batch}; send it in parts"
            raise BatchTooLargeError(msg)


def _key_of(step: Learn) -> str:
    return step.key


def _decode_as(key: str, payload: bytes | str, as_type: type[Any]) -> Any:  # noqa: ANN401
    try:
        return decode_as(payload, as_type)
    except InvalidValueError as error:
        msg = f"{key!r}: {error}"
        raise InvalidValueError(msg) from error
