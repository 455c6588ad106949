"""Calls on all entries of a range: searches, listings, scans, partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.deprecation import renamed
from lionagi_qe.persistence.calls.base import Calls
from lionagi_qe.persistence.contract.records import PayloadPage, entry_of
from lionagi_qe.persistence.values import keys as naming
from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.persistence.values.entry import Entry, check_count
from lionagi_qe.persistence.values.glob import compile_glob
from lionagi_qe.persistence.values.keys import KeyRange

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lionagi_qe.persistence.contract.records import KeyPage, Page
    from lionagi_qe.persistence.values.glob import Glob

SEARCH_PAGE = 1_000
SCAN_PAGE = 500
KEY_PAGE = 5_000


class RangeCalls(Calls):
    """Find, list, stream and clear entries; costs what is matched, not what is stored."""

    async def search(
        self,
        pattern: str,
        limit: int | None = None,
        partition: str | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Return the live values whose keys match a glob pattern, in key order.

        See ``glob`` for the dialect. Costs what shares the pattern's literal prefix (and the
        partition, if given). Reads in pages of at most 1,000 entries, each a consistent snapshot.
        """
        glob = compile_glob(pattern)
        if limit is not None:
            check_count("limit", limit)
        if partition is not None:
            naming.check_partition(partition)
        deadline = self._scheduler.deadline(timeout)
        found: dict[str, Any] = {}
        keys: KeyRange | None = KeyRange.of_prefix(glob.prefix)
        while keys is not None and (limit is None or len(found) < limit):
            most = SEARCH_PAGE if limit is None else min(SEARCH_PAGE, limit - len(found))
            page = await self._page_of(glob, keys, most, partition, deadline)
            for key, payload in page.payloads:
                found[key] = decode(payload)
            keys = None if page.after is None else keys.after(page.after)
        return found

    async def _page_of(
        self, glob: Glob, keys: KeyRange, most: int, partition: str | None, deadline: float
    ) -> PayloadPage:
        """Read the next matches; a pattern that is more than a prefix looks at the keys first."""
        if glob.whole == "prefix":
            return await self._scheduler.ask(
                lambda backend: backend.page_payloads(keys, most, partition), deadline
            )
        candidates = await self._page_keys(keys, partition, deadline)
        matching = [key for key in candidates.keys if glob.matches(key)]
        chosen = matching[:most]
        after = chosen[-1] if len(chosen) < len(matching) else candidates.after
        records = (
            await self._scheduler.ask(lambda backend: backend.read_records(chosen), deadline)
            if chosen
            else []
        )
        return PayloadPage(
            [
                (record.key, record.payload)
                for record in records
                if record is not None and partition in {None, record.partition}
            ],
            after,
        )

    async def list_keys(
        self,
        prefix: str | None = None,
        partition: str | None = None,
        *,
        timeout: float | None = None,
    ) -> list[str]:
        """Return the live keys that start with ``prefix`` (plain text), sorted."""
        if partition is not None:
            naming.check_partition(partition)
        deadline = self._scheduler.deadline(timeout)
        found: list[str] = []
        keys: KeyRange | None = KeyRange.of_prefix(naming.check_prefix(prefix))
        while keys is not None:
            page = await self._page_keys(keys, partition, deadline)
            found += page.keys
            keys = None if page.after is None else keys.after(page.after)
        return found

    async def _page_keys(self, keys: KeyRange, partition: str | None, deadline: float) -> KeyPage:
        return await self._scheduler.ask(
            lambda backend: backend.page_keys(keys, KEY_PAGE, partition), deadline
        )

    @renamed(batch="page_size")
    async def scan(
        self,
        prefix: str | None = None,
        page_size: int = SCAN_PAGE,
        partition: str | None = None,
        *,
        timeout: float | None = None,
    ) -> AsyncGenerator[Entry, None]:
        """Yield the live entries whose keys start with ``prefix``, in key order.

        Keyset paging: ``page_size`` entries a round trip, constant memory at any size, ``timeout``
        seconds for each page. An entry stored or deleted meanwhile may be seen or not; every
        entry that stays is seen once.
        """
        check_count("page_size", page_size, self._max_batch)
        if partition is not None:
            naming.check_partition(partition)
        keys: KeyRange | None = KeyRange.of_prefix(naming.check_prefix(prefix))
        while keys is not None:
            page = await self._page(keys, page_size, partition, self._scheduler.deadline(timeout))
            for record in page.records:
                yield entry_of(record)
            keys = None if page.after is None else keys.after(page.after)

    async def _page(
        self, keys: KeyRange, page_size: int, partition: str | None, deadline: float
    ) -> Page:
        return await self._scheduler.ask(
            lambda backend: backend.page(keys, page_size, partition), deadline
        )

    async def clear_partition(
        self,
        partition: str,
        *,
        timeout: float | None = None,
    ) -> int:
        """Delete the entries that the partition holds now; return how many.

        Goes in bounded batches, each atomic; what is stored meanwhile is spared. Costs what the
        partition holds.
        """
        naming.check_partition(partition)
        return await self._scheduler.clear_partition(partition, self._scheduler.deadline(timeout))
