"""What HybridMemory needs of a cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Reading:
    """When a reading began, by the cache's clock in ms, and in which generation of the cache."""

    moment: int
    generation: str


@dataclass(frozen=True, slots=True)
class Fill:
    """An entry to be cached for ``life_ms``."""

    key: str
    revision: int
    payload: bytes | str
    life_ms: int


class Cache(Protocol):
    """Copies of a memory's values, shared by all handles; may forget anything at any time.

    All methods but ``name`` raise BackendUnavailableError where the cache can't be reached.
    """

    def name(self, memory: str) -> None:
        """Tell whose entries these are: the same text in all handles on one memory."""
        ...

    async def close(self) -> None:
        """Release everything; may be called twice."""
        ...

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the payloads held; None for what isn't, or not any more."""
        ...

    async def begin(self) -> Reading:
        """Note the moment before the memory itself is read."""
        ...

    async def fill(self, reading: Reading, entries: Iterable[Fill]) -> None:
        """Keep what was read, unless it was marked since the reading began, or is older."""
        ...

    async def mark(self, changes: Iterable[tuple[str, int | None]]) -> None:
        """Forget keys that were changed, to a revision or (None) to an unknown one."""
        ...

    async def position(self) -> str | None:
        """Return the position in the log up to which changes were marked, if it is known."""
        ...

    async def keep_position(self, reading: Reading, position: str, life_ms: int) -> None:
        """Note that all changes up to ``position`` are marked."""
        ...

    async def renew(self) -> None:
        """Empty the cache, at once and for all handles."""
        ...
