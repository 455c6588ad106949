"""Archives of encrypted memories: each value sealed for its line, and their number at the end."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from lionagi_qe.errors import ConfigurationError, DecryptionError
from lionagi_qe.persistence.encryption.keys import KEY_BYTES, place_of
from lionagi_qe.persistence.transfer.archive_lines import bad
from lionagi_qe.persistence.values.keys import DEFAULT_PARTITION, check_fleet, check_name

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.encryption.keys import KeyRing
    from lionagi_qe.persistence.transfer.archive_lines import Line
    from lionagi_qe.persistence.transfer.verify import Digest

# Of the text that a value becomes, beside a third more: the key's id, a nonce, a tag.
SEAL_OVERHEAD = 128


@dataclass(frozen=True, slots=True)
class ArchiveSeal:
    """Seals and opens the lines of one archive, which are worth nothing in another.

    Attributes:
        ring: the keys.
        fleet: whose entries these are.
        archive: names this archive and no other.
        hides_names: keys and partitions are sealed with the values; lines are numbered instead.
    """

    ring: KeyRing
    fleet: str
    archive: str
    hides_names: bool = False

    @classmethod
    def new(cls, ring: KeyRing, fleet: str, *, hides_names: bool) -> ArchiveSeal:
        """Return the seal of a new archive."""
        return cls(ring, fleet, secrets.token_hex(16), hides_names)

    @classmethod
    def of_head(
        cls, name: str, line: Line, head: dict[str, Any], ring: KeyRing | None
    ) -> ArchiveSeal:
        """Return the seal of an archive that is there.

        Raises:
            ConfigurationError: there are no keys.
            ArchiveError: the first line doesn't say which archive it is.

        """
        try:
            fleet, archive = check_fleet(head["fleet"]), check_name("archive", head["archive"])
        except (KeyError, ValueError, TypeError) as error:
            raise bad(name, line, "does not tell fleet and archive") from error
        if ring is None:
            raise ConfigurationError(
                f"{name}: its values are sealed; open the memory with the keys that sealed them: "
                "keys=KeyRing.from_env(), or ?keys=VARIABLE in its URL"
            )
        # Who changes this word gets lines that can't be opened.
        return cls(ring, fleet, archive, head.get("names") == "sealed")

    def head(self) -> dict[str, str]:
        """Return what the first line has to tell."""
        more = {"names": "sealed", "pattern": "*"} if self.hides_names else {}
        return {"archive": self.archive, **more}

    def seal(self, record: Record, number: int) -> Record:
        """Return the entry as it is written, the file's ``number``-th: its value a text."""
        payload = record.payload.encode() if isinstance(record.payload, str) else record.payload
        if self.hides_names:
            # No name has a line break.
            payload = f"{record.key}\n{record.partition}\n".encode() + payload
            record = record._replace(key=f"aqe/{number}", partition=DEFAULT_PARTITION)
        sealed = self.ring.seal(self._place(record), payload)
        return record._replace(payload=orjson.dumps(sealed.decode()))

    def open(self, name: str, line: Line, record: Record) -> Record:
        """Return the entry with its value; ArchiveError if that wasn't sealed for this line."""
        payload = self._opened(name, line, self._place(record), orjson.loads(record.payload))
        if not self.hides_names:
            return record._replace(payload=payload)
        key, partition, payload = payload.split(b"\n", 2)
        return record._replace(key=key.decode(), partition=partition.decode(), payload=payload)

    def seal_end(self, total: Digest) -> dict[str, str]:
        """Return what the last line has to tell, so that no line can be left out."""
        sealed = self.ring.seal(self._end(), _told(total))
        return {"seal": sealed.decode()}

    def check_end(self, name: str, line: Line, fields: dict[str, Any], total: Digest) -> None:
        """Raise ArchiveError unless the lines before are those that were written."""
        if self._opened(name, line, self._end(), fields.get("seal")) != _told(total):
            raise bad(name, line, "was sealed for other entries: the file was changed")

    def _place(self, record: Record) -> bytes:
        facts = (record.revision, record.updated_ms, record.expires_ms)
        kind = "archive with names" if self.hides_names else "archive"
        return place_of(
            self.fleet, kind, self.archive, *map(str, facts), record.partition, record.key
        )

    def _end(self) -> bytes:
        return place_of(self.fleet, "end of archive", self.archive)

    def _opened(self, name: str, line: Line, place: bytes, sealed: object) -> bytes:
        if not isinstance(sealed, str):
            raise bad(name, line, "has a value in clear, where all are sealed")
        try:
            return self.ring.open(place, sealed)
        except DecryptionError as error:
            raise bad(name, line, f"can't be opened ({error})") from error


def sealed_bytes(size: int) -> int:
    """Return the most bytes of text that a value of so many bytes becomes."""
    return (size + KEY_BYTES) * 4 // 3 + SEAL_OVERHEAD


def _told(total: Digest) -> bytes:
    return f"{total.entries} {total}".encode()
