"""Calls on all entries of a range: searches, listings, scans, partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.deprecation import renamed
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.calls.base import Calls
from lionagi_qe.persistence.contract.operations import Delete
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
CHILD_PAGE = 256
DELETE_PAGE = 1_000


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
        keys: KeyRange | None = glob.keys
        while keys is not None and (limit is None or len(found) < limit):
            most = SEARCH_PAGE if limit is None else min(SEARCH_PAGE, limit - len(found))
            page = await self._page_of(glob, keys, most, partition, deadline)
            for key, payload in page.payloads:
                found[key] = decode(payload)
            keys = None if page.after is None else keys.after(page.after)
        return found if limit is not None or self._is_ordered else dict(sorted(found.items()))

    @property
    def _is_ordered(self) -> bool:
        """Whether pages come in the order of keys; else the whole is sorted, and parts are not."""
        return self._scheduler.backend.capabilities.ordered

    async def _page_of(
        self, glob: Glob, keys: KeyRange, most: int, partition: str | None, deadline: float
    ) -> PayloadPage:
        """Read the next matches; a pattern that is more than a prefix looks at the keys first."""
        if glob.whole == "prefix":
            return await self._scheduler.ask(
                lambda backend: backend.page_payloads(keys, most, partition), deadline, "search"
            )
        candidates = await self._page_keys(keys, partition, deadline)
        matching = [key for key in candidates.keys if glob.matches(key)]
        chosen = matching[:most]
        after = chosen[-1] if len(chosen) < len(matching) else candidates.after
        records = (
            await self._scheduler.ask(
                lambda backend: backend.read_records(chosen), deadline, "search"
            )
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
        limit: int | None = None,
        after: str | None = None,
        timeout: float | None = None,
    ) -> list[str]:
        """Return the live keys that start with ``prefix`` (plain text), sorted.

        ``limit`` of them at most, and only those above ``after``: the last key of one page begins
        the next. A page costs what it holds, wherever it lies.
        """
        if limit is not None:
            check_count("limit", limit)
        if partition is not None:
            naming.check_partition(partition)
        deadline = self._scheduler.deadline(timeout)
        found: list[str] = []
        keys = _range_of(prefix, after)
        while keys is not None and (limit is None or len(found) < limit):
            most = KEY_PAGE if limit is None else min(KEY_PAGE, limit - len(found))
            page = await self._page_keys(keys, partition, deadline, most)
            found += page.keys
            keys = None if page.after is None else keys.after(page.after)
        return found if limit is not None or self._is_ordered else sorted(found)

    async def list_children(
        self,
        prefix: str,
        *,
        limit: int | None = None,
        after: str | None = None,
        timeout: float | None = None,
    ) -> list[str]:
        """Return what lies one level below ``prefix``, sorted, without reading what is deeper.

        An entry is its key, and what has keys below it ends with '/', as a folder does: below
        ``aqe/a/`` there may be both ``aqe/a/b`` and ``aqe/a/b/``. ``limit`` and ``after`` page as
        those of ``list_keys`` do. Costs one round trip for every 256 keys passed, and passes at
        most so many of each child.
        """
        if limit is not None:
            check_count("limit", limit)
        if not naming.check_prefix(prefix).endswith("/"):
            msg = f"prefix {prefix!r}: children are those of a level; end it with '/'"
            raise InvalidArgumentError(msg)
        deadline = self._scheduler.deadline(timeout)
        children: list[str] = []
        keys = _range_of(prefix, after)
        if after is not None and after.endswith("/") and keys is not None:
            keys = _behind(after, keys)
        while keys is not None and (limit is None or len(children) < limit):
            page = await self._page_keys(keys, None, deadline, CHILD_PAGE)
            for key in page.keys:
                child = _child(key, prefix)
                if not children or children[-1] != child:
                    children.append(child)
            if page.after is None:
                break
            last = _child(page.after, prefix)
            keys = _behind(last, keys) if last.endswith("/") else keys.after(last)
        if limit is not None:
            return children[:limit]
        return children if self._is_ordered else sorted(children)

    async def delete_prefix(self, prefix: str, *, timeout: float | None = None) -> int:
        """Delete the entries whose keys start with ``prefix``; return how many.

        Goes through the keys in order, in bounded batches, each atomic (per shard on Redis
        Cluster), of two round trips and with ``timeout`` seconds of its own; what is stored
        meanwhile may be deleted or not. When it is broken off, the same call goes on.

        Raises:
            InvalidArgumentError: the prefix is empty or of all keys.
            BackendUnavailableError: see its ``outcome``; earlier batches are deleted.

        """
        if naming.check_prefix(prefix) in {"", "a", "aq", "aqe", naming.ROOT}:
            msg = f"prefix {prefix!r}: is that of every key; name what is to go, as aqe/plans/"
            raise InvalidArgumentError(msg)
        most = min(DELETE_PAGE, self._max_batch)
        deleted, keys = 0, _range_of(prefix, None)
        while keys is not None:
            deadline = self._scheduler.deadline(timeout)
            page = await self._page_keys(keys, None, deadline, most)
            if page.keys:
                gone = await self._scheduler.write_batch(
                    [Delete(key) for key in page.keys], 0, deadline
                )
                deleted += sum(gone)
            keys = None if page.after is None else keys.after(page.after)
        return deleted

    async def _page_keys(
        self, keys: KeyRange, partition: str | None, deadline: float, most: int = KEY_PAGE
    ) -> KeyPage:
        return await self._scheduler.ask(
            lambda backend: backend.page_keys(keys, most, partition), deadline, "list_keys"
        )

    @renamed(batch="page_size")
    async def scan(
        self,
        prefix: str | None = None,
        page_size: int = SCAN_PAGE,
        partition: str | None = None,
        *,
        after: str | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[Entry, None]:
        """Yield the live entries whose keys start with ``prefix``, in key order.

        Keyset paging: ``page_size`` entries a round trip, constant memory at any size, ``timeout``
        seconds for each page. An entry stored or deleted meanwhile may be seen or not; every
        entry that stays is seen once. ``after`` begins behind that key.
        """
        check_count("page_size", page_size, self._max_batch)
        if partition is not None:
            naming.check_partition(partition)
        keys = _range_of(prefix, after)
        while keys is not None:
            page = await self._page(keys, page_size, partition, self._scheduler.deadline(timeout))
            for record in page.records:
                yield entry_of(record)
            keys = None if page.after is None else keys.after(page.after)

    async def _page(
        self, keys: KeyRange, page_size: int, partition: str | None, deadline: float
    ) -> Page:
        return await self._scheduler.ask(
            lambda backend: backend.page(keys, page_size, partition), deadline, "scan"
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


def _range_of(prefix: str | None, after: str | None) -> KeyRange | None:
    """Return the keys of a prefix, above ``after`` if that is given; None if there can be none."""
    keys = KeyRange.of_prefix(naming.check_prefix(prefix))
    if after is None:
        return keys
    if naming.check_prefix(after, "after") >= keys.before:
        return None
    return keys.after(after) if after >= keys.first else keys


def _child(key: str, prefix: str) -> str:
    name, deeper, _ = key[len(prefix) :].partition("/")
    return prefix + name + deeper


def _behind(child: str, keys: KeyRange) -> KeyRange | None:
    """Return what follows all that is below ``child``."""
    first = KeyRange.of_prefix(child).before
    return KeyRange(first, keys.before) if first < keys.before else None
