"""A memory of which all is sealed by the newest key of its ring, so that others may go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lionagi_qe.persistence.contract.job_pages import LISTED_STATES
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.transfer.copying import MAX_BATCH
from lionagi_qe.persistence.values.entry import check_count
from lionagi_qe.persistence.values.keys import KeyRange

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from lionagi_qe.persistence.encryption.resealing import Resealed
    from lionagi_qe.persistence.memory import Memory

# Others that still seal by an older key are waited for so often, and then told of.
PASSES = 5
_CLEAN_PASSES = 2
MAX_SHOWN = 20
_PAGE_SIZE = 500
_JOB_PAGE = 100


@dataclass
class Rekeyed:
    """What ``rekey`` did.

    Attributes:
        key: the id of the key that seals all of it now.
        sealed: entries that were sealed anew.
        entries: those that the last pass opened, and found sealed by this key.
        texts_sealed: texts of jobs, schedules and leases that were sealed anew: payloads, results,
            errors, progress, names of holders.
        texts: those that the last pass opened, and found sealed by this key.
        left: what the last pass found sealed by another key: somebody still uses it.
        refused: how much the last pass could not open.
        first: what is wrong with the first of these.
    """

    key: str
    sealed: int = 0
    entries: int = 0
    texts_sealed: int = 0
    texts: int = 0
    left: int = 0
    refused: int = 0
    first: list[str] = field(default_factory=list[str])

    @property
    def complete(self) -> bool:
        """Whether nothing needs another key than the newest."""
        return not (self.left or self.refused)


async def rekey(
    memory: Memory,
    *,
    progress: Callable[[int], None] | None = None,
    page_size: int = _PAGE_SIZE,
) -> Rekeyed:
    """Seal all that is kept by the first key of the memory's ring, and look that it is so.

    The memory may be in use, if all who use it have that key. An entry that is sealed anew counts
    as changed: it has a new revision, and watches tell of it. Broken off, call it again: what is
    sealed by the first key is read and left as it is. Reads everything twice, in pages.

    Jobs in all states, with their results, errors and progress, schedules and leases keep their
    states, claims, times and versions: nobody who has one notices. They are looked through until
    that found nothing to do twice, since a job may pass from a page to come to one that was read.

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
    entries_left, entries_refused = done.left, done.refused
    clean = 0
    for _ in range(PASSES):
        done.left, done.refused, done.texts = entries_left, entries_refused, 0
        del done.first[min(entries_refused, MAX_SHOWN) :]
        async for page in _pages_of_texts(memory, page_size):
            done.texts_sealed += page.sealed
            done.texts += page.read - page.sealed - page.changed - len(page.refused)
            _add(done, page)
        clean = clean + 1 if done.left == entries_left else 0
        if clean == _CLEAN_PASSES:
            break
    return done


async def _pages_of_texts(memory: Memory, page_size: int) -> AsyncGenerator[Resealed]:
    """Seal the texts of jobs, schedules and leases page by page."""
    parts = parts_of(memory)

    def offers(part: str) -> bool:
        return getattr(parts.backend, part, None) is not None

    # A job may be as large as an entry, and pages of jobs know no limit of bytes.
    most = min(page_size, _JOB_PAGE)
    for queue in await parts.jobs.queues() if offers("jobs") else ():
        if offers("schedules"):
            yield await parts.bulk.reseal_schedules(queue)
        for state in LISTED_STATES:
            after: str | None = ""
            while after is not None:
                page = await parts.bulk.reseal_jobs(queue, state, after, most)
                yield page
                after = page.after
        async for page in _pages_of_batches(memory, queue, most):
            yield page
    name: str | None = "" if offers("leases") else None
    while name is not None:
        page = await parts.bulk.reseal_leases(name, page_size)
        yield page
        name = page.after


async def _pages_of_batches(memory: Memory, queue: str, most: int) -> AsyncGenerator[Resealed]:
    """Seal what a queue's batches keep of their jobs."""
    bulk = parts_of(memory).bulk
    behind: str | None = ""
    while behind is not None:
        batches, behind = await bulk.batches(queue, behind, most)
        for batch_id in batches:
            after: str | None = ""
            while after is not None:
                page = await bulk.reseal_batch(queue, batch_id, after, most)
                yield page
                after = page.after


def _add(done: Rekeyed, page: Resealed) -> None:
    """Count what a page had that needed another key."""
    done.left += page.sealed + page.changed
    done.refused += len(page.refused)
    done.first += page.refused[: MAX_SHOWN - len(done.first)]


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
        done.entries += page.read - page.sealed - page.changed - len(page.refused)
        _add(done, page)
        passed += page.read
        if progress is not None:
            progress(passed)
        keys = None if page.after is None else keys.after(page.after)
