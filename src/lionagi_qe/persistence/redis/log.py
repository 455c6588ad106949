"""The changes of a Redis memory: each shard's in order of its revisions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import AccessDeniedError, WatchTooOldError
from lionagi_qe.persistence.contract.change_log import (
    KINDS,
    LOST,
    REWOUND,
    LogPage,
    LogRecord,
    bad_position,
)
from lionagi_qe.persistence.redis import scripts
from lionagi_qe.persistence.redis.operations import record_of

if TYPE_CHECKING:
    from lionagi_qe.persistence.redis.session import RedisSession

MAX_PAGE_BYTES = 8 * 1024 * 1024
_TAG = "r1"
# The server keeps revisions as floats: this is the last exact one.
_NEVER_LOST = 2**53 - 1
_PLACE = re.compile(r"(\d{1,16})(?:/(\d{1,16}))?")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one shard has been read up to, and which forgotten revisions need not be known."""

    after: int
    known: int = 0

    def __str__(self) -> str:
        return f"{self.after}/{self.known}" if self.known > self.after else str(self.after)


@dataclass(frozen=True, slots=True)
class _ShardPage:
    """What one shard answered: key, revision, kind and value of its changes, flat."""

    place: _Place
    more: bool
    changes: list[Any]


class RedisLog:
    """The changes of the backend's fleet. A position has a place in each shard."""

    def __init__(self, session: RedisSession) -> None:
        self._session = session
        self._buries = True

    async def start(self, *, oldest: bool, removals: bool = True) -> str:
        """Begin before each shard's first revision or after its newest."""

        async def look(shard: int) -> _Place:
            newest, forgotten, _ = await self._session.run(scripts.LOG, shard, "", mutates=False)
            known = int(forgotten) if removals else _NEVER_LOST
            return _Place(0 if oldest else int(newest), known)

        return _text(await self._session.on_all(look))

    async def clock(self) -> int:
        """Ask the first shard's server."""
        *_, moment = await self._session.run(scripts.LOG, 0, "", mutates=False)
        return int(moment)

    async def check(self, position: str) -> None:
        """Parse it."""
        self._parse(position)

    def _parse(self, position: str) -> list[_Place]:
        tag, _, rest = position.partition(":")
        found = [_PLACE.fullmatch(part) for part in rest.split(",")]
        if tag != _TAG or len(found) != self._session.shards.count:
            raise bad_position(position, "Redis")
        places: list[_Place] = []
        for matched in found:
            if matched is None:
                raise bad_position(position, "Redis")
            places.append(_Place(int(matched[1]), int(matched[2] or 0)))
        return places

    async def finish(self, position: str, limit: int) -> bool:  # noqa: ARG002 - the protocol's
        """Keep nothing for copies."""
        return False

    async def read(
        self, position: str, prefix: str, limit: int, *, values: bool, bury: bool = True
    ) -> LogPage:
        """Read each shard's next changes, and put them one shard after the other.

        A user who may only read buries nothing, and hears of what expired once somebody else has.
        """
        if bury and self._buries:
            try:
                return await self._read_shards(position, prefix, limit, values=values, bury=True)
            except AccessDeniedError:
                # Who may not read either is told so by what follows.
                self._buries = False
        return await self._read_shards(position, prefix, limit, values=values, bury=False)

    async def _read_shards(
        self, position: str, prefix: str, limit: int, *, values: bool, bury: bool
    ) -> LogPage:
        places = self._parse(position)

        async def read(shard: int) -> _ShardPage:
            return await self._read(shard, places[shard], prefix, limit, values=values, bury=bury)

        pages: list[_ShardPage] = await self._session.on_all(read)
        records: list[LogRecord] = []
        for shard, page in enumerate(pages):
            before = ",".join(map(str, places[:shard]))
            behind = ",".join(map(str, places[shard + 1 :]))
            head = f"{_TAG}:{before},".replace(":,", ":")
            tail = f",{behind}" if behind else ""
            flat = page.changes
            for key, revision, kind, value in zip(*[iter(flat)] * 4, strict=True):
                at = _Place(int(revision), page.place.known)
                records.append(
                    LogRecord(
                        KINDS[kind],
                        key.decode(),
                        at.after,
                        record_of(key.decode(), value) if values and not kind else None,
                        f"{head}{at}{tail}",
                    )
                )
            places[shard] = page.place
        return LogPage(records, _text(places), any(page.more for page in pages))

    async def _read(  # noqa: PLR0913 - the read's own arguments
        self, shard: int, place: _Place, prefix: str, limit: int, *, values: bool, bury: bool
    ) -> _ShardPage:
        status, *rest = await self._session.run(
            scripts.LOG,
            shard,
            place.after,
            place.known,
            prefix,
            max(1, limit // self._session.shards.count),
            MAX_PAGE_BYTES // self._session.shards.count,
            "1" if values else "",
            "1" if bury else "",
            # It buries what has expired; to do so again after a lost answer does no harm.
            mutates=False,
        )
        if status:
            raise WatchTooOldError(LOST if status == b"lost" else REWOUND)
        after, more, *changes = rest
        return _ShardPage(_Place(int(after), place.known), bool(more), changes)


def _text(places: list[_Place]) -> str:
    return f"{_TAG}:" + ",".join(map(str, places))
