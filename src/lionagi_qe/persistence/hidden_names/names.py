"""Names that are stored as keyed hashes, from which who has the key gets them back.

Each segment of a key is sealed by AES-SIV (RFC 5297), which is deterministic: its synthetic IV is a
keyed hash of the segment and of the path above it, and the segment encrypted by it follows. So the
same key is found again by its stored name alone, a prefix of whole segments stays one, and a
stored name tells nobody without the key more than its depth, its length in steps of 8 bytes, and
what lies below the same parent.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from lionagi_qe.errors import ConfigurationError, DecryptionError, HiddenNamesError
from lionagi_qe.extras import needs
from lionagi_qe.persistence.values.glob import compile_glob
from lionagi_qe.persistence.values.keys import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    _Codec = Callable[[bytes, list[bytes]], bytes]

KEY_BYTES = 64
# So that no stored name of a valid one is longer than MAX_STORED_KEY_BYTES.
MAX_SEGMENTS = 40
# No segment that is stored begins otherwise.
MARK = "~"
HIDDEN_PREFIX = ROOT + MARK
Label = Literal["partition", "dedupe", "limit", "schedule"]
_LABELS: tuple[Label, ...] = ("partition", "dedupe", "limit", "schedule")
_BLOCK = 8
_CACHED = 16_384
# A synthetic IV and a block, at least.
_SEGMENT = r"~[A-Za-z0-9_-]{32,}"
_NAME_IN_TEXT = re.compile(rf"(?:aqe/)?{_SEGMENT}(?:/{_SEGMENT})*")


class Names:
    """Hides names, and reads them again.

    Args:
        key: KEY_BYTES random bytes, of this fleet and this purpose alone.
        key_id: what messages call it.

    Raises:
        ConfigurationError: the extra ``encryption`` isn't installed.

    """

    def __init__(self, key: bytes, key_id: str) -> None:
        self.key_id = key_id
        self._seal, self._open = _codec(key)
        self._hidden = lru_cache(_CACHED)(self._hide)
        self._read = lru_cache(_CACHED)(self._show)

    # Keys and prefixes of them

    def key(self, key: str) -> str:
        """Return as what a key is stored.

        Raises:
            HiddenNamesError: it has more than 40 segments.

        """
        if key.count("/") > MAX_SEGMENTS:
            msg = (
                f"{key[:60]!r}...: has {key.count('/')} segments, and where names are hidden there "
                f"may be {MAX_SEGMENTS}; join some of them"
            )
            raise HiddenNamesError(msg)
        return self._hidden(key)

    def read_key(self, stored: str) -> str:
        """Return the key that is stored so; DecryptionError if none is by our key."""
        if stored.count("/") > MAX_SEGMENTS:
            raise self._not_ours(stored)
        return self._read(stored)

    def prefix(self, prefix: str) -> str:
        """Return what stored keys begin with whose keys begin with these whole segments."""
        return f"{self.key(prefix[:-1])}/"

    def pattern(self, pattern: str) -> str:
        """Return the pattern of stored names that comes to the same: of one, a level, or all.

        Raises:
            HiddenNamesError: no pattern of stored names does.

        """
        glob = compile_glob(pattern)
        if glob.whole == "literal":
            return self.name(glob.prefix)
        if glob.whole == "prefix" and glob.prefix in {"", ROOT}:
            return pattern
        if glob.whole == "prefix" and glob.prefix.endswith("/"):
            return f"{self.name(glob.prefix[:-1])}/*"
        raise whole_segments(f"pattern {pattern!r}")

    # Names of queues and leases, and labels

    def name(self, name: str) -> str:
        """Return as what a queue or a lease is stored: alike to a key that begins with its name.

        For Redis Cluster places what begins alike in the same slot.
        """
        return self.key(name) if name.startswith(ROOT) else self.key(ROOT + name)[len(ROOT) :]

    def read_name(self, stored: str) -> str:
        """Return the name that is stored so; DecryptionError if none is by our key."""
        if stored.startswith(ROOT):
            return self.read_key(stored)
        return self.read_key(ROOT + stored)[len(ROOT) :]

    def label(self, kind: Label, text: str) -> str:
        """Return as what another name is stored: it is no path, and bound to its kind."""
        return self._sealed(kind.encode(), text)

    def read_label(self, kind: Label, stored: str) -> str:
        """Return the name that is stored so; DecryptionError if none is by our key."""
        return self._opened(kind.encode(), stored)

    def told(self, text: str) -> str:
        """Return a message with names as they are, and not as they are stored."""
        return _NAME_IN_TEXT.sub(self._told, text)

    def _told(self, found: re.Match[str]) -> str:
        try:
            return self.read_name(found[0])
        except DecryptionError:
            pass
        for kind in _LABELS:
            try:
                return self.read_label(kind, found[0])
            except DecryptionError:
                continue
        return found[0]

    # Segments

    def _hide(self, path: str) -> str:
        parent, slash, name = path.rpartition("/")
        return f"{self._hidden(parent)}/{self._sealed(parent.encode(), name)}" if slash else path

    def _show(self, stored: str) -> str:
        above, slash, segment = stored.rpartition("/")
        if not slash:
            return stored
        parent = self._read(above)
        return f"{parent}/{self._opened(parent.encode(), segment)}"

    def _sealed(self, parent: bytes, name: str) -> str:
        text = name.encode()
        # No name has a zero byte.
        padded = text.ljust(max(-(-len(text) // _BLOCK), 1) * _BLOCK, b"\0")
        sealed = self._seal(padded, [parent])
        return MARK + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def _opened(self, parent: bytes, segment: str) -> str:
        if not segment.startswith(MARK):
            raise self._not_ours(segment)
        encoded = segment[1:].encode()
        try:
            sealed = base64.b64decode(
                encoded + b"=" * (-len(encoded) % 4), altchars=b"-_", validate=True
            )
            name = self._open(sealed, [parent]).rstrip(b"\0").decode()
        except (binascii.Error, ValueError, _invalid_tag()) as error:
            raise self._not_ours(segment) from error
        if self._sealed(parent, name) != segment:
            # Another spelling of the same, which nobody would find by it.
            raise self._not_ours(segment)
        return name

    def _not_ours(self, stored: str) -> DecryptionError:
        return DecryptionError(
            f"{stored[:120]!r}: is no name that was hidden by the key {self.key_id!r} in this "
            "fleet; somebody stored it in clear or by another key, or changed it"
        )


def names_of(fleet: str) -> str:
    """Return the purpose that a key for the names of a fleet is derived for."""
    return f"names\0{fleet}"


def whole_segments(what: str) -> HiddenNamesError:
    """Return the error for what can't be found by hashes of segments."""
    return HiddenNamesError(
        f"{what}: names are hidden in this memory, so keys are found by whole segments alone; ask "
        "for a whole key, or for what begins with text that ends in '/', as 'aqe/plans/' or "
        "'aqe/plans/*', and choose among that"
    )


def _codec(key: bytes) -> tuple[_Codec, _Codec]:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    except ModuleNotFoundError as error:
        msg = f"hiding names {needs('cryptography')}"
        raise ConfigurationError(msg) from error
    try:
        cipher = AESSIV(key)
    except UnsupportedAlgorithm as error:
        msg = "cryptography's OpenSSL has no AES-SIV; use its wheel, or OpenSSL 3.0"
        raise ConfigurationError(msg) from error
    return cipher.encrypt, cipher.decrypt


def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag
