"""What the lines of an archive say: the format, an entry, or the end; all of it checked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import orjson

from lionagi_qe.errors import InvalidArgumentError, InvalidKeyError
from lionagi_qe.persistence.contract.records import Record
from lionagi_qe.persistence.transfer.archive_lines import bad
from lionagi_qe.persistence.transfer.archive_sealing import ArchiveSeal
from lionagi_qe.persistence.values import keys as naming
from lionagi_qe.persistence.values.codec import MAX_DEPTH
from lionagi_qe.persistence.values.entry import MAX_REVISION

if TYPE_CHECKING:
    from lionagi_qe.persistence.encryption.keys import KeyRing
    from lionagi_qe.persistence.transfer.archive_lines import Line
    from lionagi_qe.persistence.transfer.verify import Digest

FORMAT = "lionagi-qe-memory"
VERSION = 1
# Of an archive whose values are sealed: who knows the former alone shall not take them for texts.
SEALED_VERSION = 2
# Beside its value: key and partition with every character escaped, and four numbers or times.
LINE_OVERHEAD = 6 * (naming.MAX_KEY_BYTES + naming.MAX_PARTITION_BYTES) + 512
# The end of the year 9999, in ms since 1970.
_LAST_MS = 253_402_300_799_999
_MOST_SHOWN = 40


def head_line(fleet: str, pattern: str, now_ms: float, seal: ArchiveSeal | None) -> bytes:
    """Return the first line."""
    version = VERSION if seal is None else SEALED_VERSION
    head = {"format": FORMAT, "version": version, "fleet": fleet, "pattern": pattern}
    more = {} if seal is None else seal.head()
    return orjson.dumps({**head, "exported_at": _iso(now_ms), **more}) + b"\n"


def entry_line(record: Record) -> bytes:
    """Return the line of an entry."""
    fields: dict[str, Any] = {
        "key": record.key,
        "partition": record.partition,
        "revision": record.revision,
        "updated_at": _iso(record.updated_ms),
    }
    if record.expires_ms is not None:
        fields["expires_ms"] = record.expires_ms
    fields["value"] = orjson.Fragment(record.payload)
    return orjson.dumps(fields) + b"\n"


def end_line(total: Digest, seal: ArchiveSeal | None) -> bytes:
    """Return the last line."""
    more = {} if seal is None else seal.seal_end(total)
    return orjson.dumps({"entries": total.entries, "digest": str(total), **more}) + b"\n"


def check_head(name: str, line: Line, ring: KeyRing | None) -> ArchiveSeal | None:
    """Return the seal of the file that begins with this line; None if it holds values in clear.

    Raises:
        ArchiveError: it isn't the first line of a file of this format and a known version.
        ConfigurationError: the file is sealed, and there are no keys.

    """
    head = _fields(name, line)
    if head.get("format") != FORMAT:
        raise bad(name, line, f"does not say that this is a file of the format {FORMAT}")
    version = head.get("version")
    # True is 1 to Python.
    if type(version) is not int or version not in {VERSION, SEALED_VERSION}:
        told = _shown(version)
        raise bad(
            name, line, f"tells version {told}; this package reads {VERSION} and {SEALED_VERSION}"
        )
    return None if version == VERSION else ArchiveSeal.of_head(name, line, head, ring)


def record_of(name: str, line: Line, total: Digest, seal: ArchiveSeal | None) -> Record | None:
    """Return a line's entry, or None for the end, which has to agree with the digest of all.

    The entry of a sealed file is as it is written there.

    Raises ArchiveError: it is neither.
    """
    fields = _fields(name, line)
    if "entries" in fields:
        _check_end(name, line, fields, total)
        if seal is not None:
            seal.check_end(name, line, fields, total)
        return None
    if "value" not in fields:
        raise bad(name, line, "is no entry")
    payload = _payload(name, line, fields["value"])
    try:
        return Record(
            naming.check_key(fields["key"]),
            payload,
            _number(fields["revision"], MAX_REVISION),
            naming.check_partition(fields["partition"]),
            0,
            _moment(fields["updated_at"]),
            None if fields.get("expires_ms") is None else _number(fields["expires_ms"], _LAST_MS),
        )
    except InvalidKeyError as error:
        raise bad(name, line, f"has no key of a memory ({error})") from error
    except InvalidArgumentError as error:
        raise bad(name, line, f"has no partition of a memory ({error})") from error
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise bad(name, line, "is no entry") from error


def _check_end(name: str, line: Line, fields: dict[str, Any], total: Digest) -> None:
    if fields.get("entries") != total.entries or fields.get("digest") != str(total):
        told = _shown(fields.get("entries"))
        reason = f"tells of {told} entries with another digest than these"
        raise bad(name, line, f"{reason} {total.entries}: the file was changed or damaged")


def _fields(name: str, line: Line) -> dict[str, Any]:
    try:
        fields = orjson.loads(line.text)
    except orjson.JSONDecodeError as error:
        raise bad(name, line, f"is no JSON ({error.msg[:80]})") from error
    if not isinstance(fields, dict):
        raise bad(name, line, "is no JSON object")
    return cast("dict[str, Any]", fields)


def _payload(name: str, line: Line, value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        # What was JSON is again, but for this.
        raise bad(name, line, f"has a value nested deeper than {MAX_DEPTH} levels") from error


def _number(number: object, most: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= most:
        raise ValueError(_shown(number))
    return number


def _moment(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        # It would be read by the clock of whoever imports it.
        raise ValueError(text)
    return _number(round(moment.timestamp() * 1000), _LAST_MS)


def _shown(told: object) -> str:
    """Return what a file says, short enough for a message and without control characters."""
    text = repr(told) if isinstance(told, int | float | None) else ascii(told)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _iso(milliseconds: float) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
