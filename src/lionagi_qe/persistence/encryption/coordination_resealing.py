"""Sealing anew what other keys sealed in queues, schedules and leases, page by page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from lionagi_qe.errors import ConfigurationError, DecryptionError
from lionagi_qe.persistence.contract.failed_attempts import failures_of, failures_text
from lionagi_qe.persistence.contract.sealed_texts import (
    JobText,
    ResealableJobs,
    ResealableLeases,
    ResealableSchedules,
    TextExchange,
)
from lionagi_qe.persistence.encryption.coordination import (
    any_job,
    is_the_servers,
    kind_of_outcome,
)
from lionagi_qe.persistence.encryption.keys import place_of
from lionagi_qe.persistence.encryption.resealing import Resealed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from lionagi_qe.persistence.contract.backend import Backend
    from lionagi_qe.persistence.contract.job_batches import BatchJobRecord
    from lionagi_qe.persistence.contract.job_pages import ListedState
    from lionagi_qe.persistence.contract.jobs import JobRecord
    from lionagi_qe.persistence.encryption.keys import KeyRing

_ENDED = frozenset({"done", "cancelled"})


class _Text(NamedTuple):
    """A sealed text of a job, and what it may be bound to."""

    job_id: str
    text: JobText
    sealed: bytes
    places: Sequence[bytes]
    before: str = ""


class CoordinationResealer:
    """Seals anew by the ring's first key; claims, times and versions stay as they are.

    Args:
        backend: holds what is sealed; each of its parts can exchange texts, see
            ``contract.sealed_texts``.
        ring: opens and seals.
        fleet: what is sealed is bound to it.

    Raises:
        ConfigurationError: a part can't exchange texts.

    """

    def __init__(self, backend: Backend, ring: KeyRing, fleet: str) -> None:
        self._jobs = cast("ResealableJobs", _part(backend, "jobs"))
        self._schedules = cast("ResealableSchedules", _part(backend, "schedules"))
        self._leases = cast("ResealableLeases", _part(backend, "leases"))
        self._ring = ring
        self._fleet = fleet

    async def jobs(self, queue: str, state: ListedState, after: str, limit: int) -> Resealed:
        """Seal the texts of a page of jobs in a state."""
        page = await self._jobs.list_jobs(queue, state, after, limit)
        records = [each.record for each in page.jobs]
        texts = [text for record in records for text in self._texts_of(queue, record)]
        # Lists don't tell of failed attempts.
        tried = [record.job_id for record in records if record.attempts]
        found = await self._jobs.find(queue, tried) if tried else []
        texts += [
            _Text(
                record.job_id,
                "failures",
                _bytes(record.failures),
                [self._place("error", queue, record.job_id)],
            )
            for record in found
            if record is not None and record.failures
        ]
        if state not in _ENDED and records:
            texts += await self._results_before(queue, [record.job_id for record in records])
        return await self._exchange_texts(queue, texts, page.after)

    async def batches(self, queue: str, after: str, limit: int) -> tuple[list[str], str | None]:
        """Return the ids of a page of a queue's batches, and behind which the next page is."""
        page = [each.batch_id for each in await self._jobs.list_batches(queue, after, limit)]
        return page, page[-1] if len(page) == limit else None

    async def batch_jobs(self, queue: str, batch_id: str, after: str, limit: int) -> Resealed:
        """Seal what a batch keeps of a page of its jobs."""
        page = await self._jobs.batch_jobs(queue, batch_id, after, limit, pending=False)
        texts = [
            text._replace(text="member", before=batch_id)
            for job in page
            for text in self._outcome_of(queue, job)
        ]
        behind = page[-1].job_id if len(page) == limit else None
        return await self._exchange_texts(queue, texts, behind)

    async def _exchange_texts(
        self, queue: str, texts: Sequence[_Text], after: str | None
    ) -> Resealed:
        """Seal texts of jobs anew where that is due; ``after``: behind which the next page is."""
        exchanges: list[TextExchange] = []
        refused: list[str] = []
        for each in texts:
            try:
                anew = self._failures_anew if each.text == "failures" else self._anew
                new = anew(each.sealed, each.places)
            except DecryptionError as error:
                refused.append(str(error))
            else:
                if new is not None:
                    exchanges.append(
                        TextExchange(each.job_id, each.text, each.sealed, new, each.before)
                    )
        sealed = await self._jobs.exchange(queue, exchanges) if exchanges else 0
        return Resealed(len(texts), sealed, len(exchanges) - sealed, refused, after)

    async def schedules(self, queue: str) -> Resealed:
        """Seal the specs of a queue's schedules."""
        found = Resealed(0, 0, 0, [], None)
        for record in (await self._schedules.read(queue)).records:
            place = place_of(self._fleet, "schedule", queue, record.name)
            exchange = partial(self._schedules.exchange, queue, record.name)
            await self._exchange(found, place, record.spec, exchange)
        return found

    async def leases(self, after: str, limit: int) -> Resealed:
        """Seal the holders of a page of leases that are held."""
        held = await self._leases.list_held(after, limit)
        found = Resealed(0, 0, 0, [], held[-1][0] if len(held) == limit else None)
        for name, tenure in held:
            place = place_of(self._fleet, "lease", name)
            exchange = partial(self._leases.exchange, name)
            await self._exchange(found, place, tenure.holder, exchange)
        return found

    async def _exchange(
        self,
        found: Resealed,
        place: bytes,
        old: str,
        exchange: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        """Seal a text that the server compares, and count what became of it."""
        found.read += 1
        try:
            new = self._anew(old.encode(), [place], fixed=True)
        except DecryptionError as error:
            found.refused.append(str(error))
            return
        if new is None:
            return
        if await exchange(old, new.decode()):
            found.sealed += 1
        else:
            found.changed += 1

    def _anew(self, sealed: bytes, places: Sequence[bytes], *, fixed: bool = False) -> bytes | None:
        """Return a text sealed by the first key; None if it is. DecryptionError if it can't be."""
        for place in places:
            try:
                text = self._ring.open(place, sealed)
            except DecryptionError:
                if place is places[-1]:
                    raise
            else:
                newest = self._ring.is_newest(sealed)
                return None if newest else self._ring.seal(place, text, fixed=fixed)
        return None

    def _failures_anew(self, stored: bytes, places: Sequence[bytes]) -> bytes | None:
        """Return failed attempts, each text sealed by the first key; None if all are."""
        failures = failures_of(stored)
        changed = False
        for at, failure in enumerate(failures):
            if is_the_servers(failure.text):
                continue
            new = self._anew(failure.text.encode(), places)
            if new is not None:
                failures[at] = failure._replace(text=new.decode())
                changed = True
        return failures_text(failures).encode() if changed else None

    def _texts_of(self, queue: str, record: JobRecord) -> Iterator[_Text]:
        job_id, state = record.job_id, record.state

        def place(kind: str) -> bytes:
            return self._place(kind, queue, job_id)

        if state not in _ENDED:
            places = [any_job(self._fleet, queue), place("job")]
            yield _Text(job_id, "payload", _bytes(record.payload), places)
        yield from self._outcome_of(queue, record)
        if record.progress:
            yield _Text(job_id, "progress", _bytes(record.progress), [place("progress")])

    def _outcome_of(self, queue: str, job: JobRecord | BatchJobRecord) -> Iterator[_Text]:
        kind = kind_of_outcome(job)
        if kind is not None and job.outcome is not None:
            place = self._place(kind, queue, job.job_id)
            yield _Text(job.job_id, "outcome", _bytes(job.outcome), [place])

    def _place(self, kind: str, queue: str, job_id: str) -> bytes:
        return place_of(self._fleet, kind, queue, job_id)

    async def _results_before(self, queue: str, job_ids: Sequence[str]) -> list[_Text]:
        return [
            _Text(
                job_id,
                "before",
                _bytes(result),
                [self._place("result", queue, before)],
                before,
            )
            for job_id, before, result in await self._jobs.results_kept(queue, job_ids)
        ]


def _part(backend: Backend, name: str) -> object:
    found = getattr(backend, name, None)
    if found is not None and not hasattr(found, "exchange"):
        raise ConfigurationError(
            f"the {name} of this backend can't be sealed anew: it lacks 'exchange' of "
            "lionagi_qe.persistence.contract; keep older keys until its jobs and leases have ended"
        )
    return found


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
