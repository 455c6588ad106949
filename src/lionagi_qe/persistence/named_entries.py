"""Entries under names of any text and any length, which keys can't be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from lionagi_qe.errors import InvalidArgumentError, InvalidValueError
from lionagi_qe.persistence.values.codec import decode_as, encode
from lionagi_qe.persistence.values.entry import INHERIT
from lionagi_qe.persistence.values.keys import DEFAULT_PARTITION, check_key, check_partition
from lionagi_qe.persistence.values.segments import (
    LONGEST_SEGMENT,
    quoted,
    segment,
    text_of,
    unquoted,
)

if TYPE_CHECKING:
    from datetime import timedelta

    from lionagi_qe.persistence.contract.leases import Fenced
    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.memory import Memory
    from lionagi_qe.persistence.values.entry import Inherit

T = TypeVar("T")
_PAGE = 500


class NamedEntries:
    """Entries below a prefix, by names such as URLs, paths or questions.

    ::

        pages = NamedEntries(memory, "aqe/pages")
        await pages.store("https://example.org/?q=" + "x" * 5000, {"status": 200}, ttl=3600)
        names = await pages.names()

    A name is one segment of a key: short ones nearly as they are, with ``/``, ``%`` and control
    characters quoted; of one beyond 96 bytes its SHA-256. The entry's value holds the name beside
    what was stored, ``{"name": ..., "value": ...}``, so that all are listed as they were given.

    Args:
        memory: where the entries live; a scope of one will do.
        prefix: what their keys start with, without the last ``/``; nothing else belongs there.
        partition: of what is stored.

    Raises:
        InvalidKeyError: the prefix is no key, or leaves no room for names.

    """

    def __init__(self, memory: Memory, prefix: str, *, partition: str = DEFAULT_PARTITION) -> None:
        self._memory = memory
        self._prefix = f"{check_key(prefix)}/"
        check_key(self._prefix + LONGEST_SEGMENT)
        self._partition = check_partition(partition)

    def key(self, name: str) -> str:
        """Return the key of a name: for ``delete_many``, ``touch`` or a watch."""
        return self._prefix + segment(_checked(name))

    def item(self, name: str, value: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 - any JSON
        """Return the key and what is stored there: for ``store_many`` and transactions.

        These are told the partition, too, if it isn't the default one.
        """
        return self.key(name), {"name": quoted(name), "value": value}

    async def store(  # noqa: PLR0913 - those of Memory.store
        self,
        name: str,
        value: Any,  # noqa: ANN401 - any JSON value
        ttl: float | timedelta | Inherit | None = INHERIT,
        *,
        if_revision: int | None = None,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> int:
        """Store ``value`` under ``name``; as ``Memory.store``. One round trip."""
        key, stored = self.item(name, value)
        return await self._memory.store(
            key,
            stored,
            ttl,
            self._partition,
            if_revision=if_revision,
            fence=fence,
            timeout=timeout,
        )

    @overload
    async def retrieve(
        self,
        name: str,
        default: Any = None,  # noqa: ANN401
        *,
        timeout: float | None = None,
    ) -> Any: ...  # noqa: ANN401
    @overload
    async def retrieve(
        self, name: str, default: T | None = None, *, as_type: type[T], timeout: float | None = None
    ) -> T | None: ...
    async def retrieve(
        self,
        name: str,
        default: Any = None,
        *,
        as_type: type[Any] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Return what is stored under ``name``, or ``default``; as ``Memory.retrieve``."""
        key = self.key(name)
        stored = await self._memory.retrieve(key, timeout=timeout)
        if stored is None:
            return default
        value = _field(key, stored, "value")
        return value if as_type is None else decode_as(encode(value), as_type)

    async def delete(
        self,
        name: str,
        *,
        if_revision: int | None = None,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Remove what is stored under ``name``; as ``Memory.delete``."""
        return await self._memory.delete(
            self.key(name), if_revision=if_revision, fence=fence, timeout=timeout
        )

    async def names(
        self, *, limit: int | None = None, after: str | None = None, timeout: float | None = None
    ) -> list[str]:
        """Return the names, in the order of their keys.

        ``limit`` of them at most, and only those behind ``after``: the last name of one page begins
        the next. A page may be shorter where a long name's entry ends meanwhile; the last is empty.
        Costs, beside the listing of keys, a round trip for each 500 long names.

        Raises:
            InvalidValueError: what lies below the prefix was not stored by this class.

        """
        behind = None if after is None else self.key(after)
        keys = await self._memory.list_keys(
            self._prefix, limit=limit, after=behind, timeout=timeout
        )
        names = {key: text_of(key.removeprefix(self._prefix)) for key in keys}
        hashed = [key for key, name in names.items() if name is None]
        size = min(_PAGE, self._memory.max_batch)
        for start in range(0, len(hashed), size):
            part = hashed[start : start + size]
            values = await self._memory.retrieve_many(part, timeout=timeout)
            names |= {key: unquoted(_field(key, stored, "name")) for key, stored in values.items()}
        return [name for name in names.values() if name is not None]


def _checked(name: object) -> str:
    if isinstance(name, str):
        return name
    msg = f"name {name!r}: is a string"
    raise InvalidArgumentError(msg)


def _field(key: str, stored: Any, field: str) -> Any:  # noqa: ANN401 - JSON data
    if isinstance(stored, dict) and {"name", "value"} <= stored.keys():
        return stored[field]
    msg = f"{key!r}: was not stored by NamedEntries; give them a prefix of their own"
    raise InvalidValueError(msg)
