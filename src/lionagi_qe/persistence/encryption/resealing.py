"""Sealing anew what other keys sealed, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.errors import AqeError, DecryptionError, RevisionConflictError
from lionagi_qe.persistence.contract.operations import Put
from lionagi_qe.persistence.encryption.keys import place_of

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.backend import Backend
    from lionagi_qe.persistence.contract.operations import Operation
    from lionagi_qe.persistence.encryption.keys import KeyRing
    from lionagi_qe.persistence.values.keys import KeyRange


@dataclass(slots=True)
class Resealed:
    """What became of a page.

    Attributes:
        read: its entries, or texts of jobs and others; all of them were opened.
        sealed: those that were sealed anew.
        changed: those that others changed meanwhile, by whichever key.
        refused: what is wrong with those that can't be opened.
        after: continues the range, None when it is done.
    """

    read: int
    sealed: int
    changed: int
    refused: list[str]
    after: str | None


async def reseal(
    backend: Backend, ring: KeyRing, fleet: str, keys: KeyRange, limit: int
) -> Resealed:
    """Seal the first entries of a range by the ring's first key, unless they are.

    An entry is replaced only while it is as it was read, with partition and expiry as they are.

    Args:
        backend: holds what is sealed.
        ring: opens and seals.
        fleet: what is sealed is bound to it.
        keys: the range.
        limit: most entries.

    """
    page = await backend.page(keys, limit, None)
    puts: list[Operation] = []
    refused: list[str] = []
    for record in page.records:
        place = place_of(fleet, "entry", record.key)
        try:
            payload = ring.open(place, record.payload)
        except DecryptionError as error:
            refused.append(str(error))
            continue
        if not ring.is_newest(record.payload):
            sealed = ring.seal(place, payload)
            puts.append(Put(record.key, sealed, if_revision=record.revision, keep=True))
    results = await backend.write(puts, atomic=False) if puts else []
    changed = 0
    for result in results:
        if isinstance(result, RevisionConflictError):
            changed += 1
        elif isinstance(result, AqeError):
            raise result
    return Resealed(len(page.records), len(puts) - changed, changed, refused, page.after)
