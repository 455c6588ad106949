"""A memory whose entries are all sealed by the newest key of its ring, so that others may go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.transfer.copying import MAX_BATCH
from lionagi_qe.persistence.values.entry import check_count
from lionagi_qe.persistence.values.keys import KeyRange

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.persistence.memory import Memory

# Others that still seal by an older key are waited for so often, and then told of.
PASSES = 5
MAX_SHOWN = 20
_PAGE_SIZE = 500


@dataclass
class Rekeyed:
    """What ``rekey`` did.

    Attributes:
        key: the id of the key that seals all of it now.
        sealed: entries that were sealed anew.
        entries: those that the last pass opened, and found sealed by this key.
        left: those that the last pass found sealed by another key: somebody still uses it.
        refused: how many the last pass could not open.
        first: what is wrong with the first of these.
    """

    key: str
    sealed: int = 0
    entries: int = 0
    left: int = 0
    refused: int = 0
    first: list[str] = field(default_factory=list[str])

    @property
    def complete(self) -> bool:
        """Whether no entry needs another key than the newest."""
        return not (self.left or self.refused)


async def rekey(
    memory: Memory,
    *,
    progress: Callable[[int], None] | None = None,
    page_size: int = _PAGE_SIZE,
) -> Rekeyed:
    """Seal all live entries by the first key of the memory's ring, and look that it is so.

    The memory may be in use, if all who use it have that key. An entry that is sealed anew counts
    as changed: it has a new revision, and watches tell of it. Broken off, call it again: what is
    sealed by the first key is read and left as it is. Reads everything twice, in pages.

    Jobs, results and holders of leases keep the key that they were sealed by until they end.

    Args:
        memory: one with keys.
        progress: gets the number of entries passed, which begins anew with each pass.
        page_size: most entries that are sealed in one step.

    Raises:
        ConfigurationError: the memory has no keys, or it is a scope.

    """
    check_count("page_size", page_size, MAX_BATCH)
    keys = parts_of(memory).keys
    done = Rekeyed("" if keys is None else keys.ids[0])
    for _ in range(PASSES):
        await _pass(memory, done, progress, page_size)
        if not done.left:
            break
    return done


async def _pass(
    memory: Memory, done: Rekeyed, progress: Callable[[int], None] | None, page_size: int
) -> None:
    """Go through all entries once; what is left after that is what had another key before."""
    done.entries = done.left = done.refused = 0
    done.first.clear()
    passed = 0
    keys: KeyRange | None = KeyRange.of_prefix("")
    while keys is not None:
        page = await parts_of(memory).bulk.reseal(keys, page_size)
        done.sealed += page.sealed
        done.left += page.sealed + page.changed
        done.entries += page.read - page.sealed - page.changed - len(page.refused)
        done.refused += len(page.refused)
        done.first += page.refused[: MAX_SHOWN - len(done.first)]
        passed += page.read
        if progress is not None:
            progress(passed)
        keys = None if page.after is None else keys.after(page.after)
