"""Keys, and what is sealed by them: AES-256-GCM-SIV, bound to the place where it is stored."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from typing import TYPE_CHECKING

from lionagi_qe.errors import ConfigurationError, DecryptionError
from lionagi_qe.extras import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

KEYS_VARIABLE = "LIONAGI_QE_KEYS"
KEY_BYTES = 32
_NONCE_BYTES = 12
# No JSON begins so: who reads it without keys is told, and not given a text.
_MARK = b"~"
_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
_FIXED_NONCE = bytes(_NONCE_BYTES)
_HOW = "write id:key, ...; KeyRing.generate('2026-11') makes one"


class KeyRing:
    """Keys by their ids: the first seals, each opens what it sealed.

    To change keys while in use, put a new one behind the others everywhere, then before them.

    Args:
        keys: id -> 32 random bytes, the one for new values first.

    Raises:
        ConfigurationError: no usable keys, or the extra ``encryption`` isn't installed.

    """

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._ciphers: dict[bytes, AESGCMSIV] = {}
        for name, key in keys.items():
            if not _ID.fullmatch(name) or len(key) != KEY_BYTES:
                msg = (
                    f"key {name!r}: an id is 1 to 32 letters, digits, '.', '_' or '-', a key "
                    f"{KEY_BYTES} random bytes; {_HOW}"
                )
                raise ConfigurationError(msg)
            self._ciphers[name.encode()] = _cipher(key)
        self._keys = dict(keys)
        if not self._ciphers:
            msg = f"a key ring without keys; {_HOW}"
            raise ConfigurationError(msg)
        self._first, self._seals = next(iter(self._ciphers.items()))
        self._head = _MARK + self._first + _MARK
        self._head_text = self._head.decode()
        self._encode, self._decode = _base64()

    def __repr__(self) -> str:
        return f"<KeyRing {', '.join(self.ids)}>"

    @property
    def ids(self) -> list[str]:
        """The ids of the keys, the one for new values first."""
        return [name.decode() for name in self._ciphers]

    def derive(self, key_id: str, purpose: str, size: int) -> bytes:
        """Return a key of ``size`` bytes for one purpose, made of one of ours by HKDF-SHA256.

        Raises:
            ConfigurationError: no key has this id.

        """
        if key_id not in self._keys:
            # The id isn't shown: it may be a key that was written in its place.
            msg = f"no key of the ring has the id that was asked for; it has {self.ids}"
            raise ConfigurationError(msg)
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        derivation = HKDF(SHA256(), size, salt=None, info=f"lionagi-qe\0{purpose}".encode())
        return derivation.derive(self._keys[key_id])

    @classmethod
    def parse(cls, text: str, where: str = "keys") -> KeyRing:
        """Return the keys of a text ``id:key,id:key``, each key in base64.

        ConfigurationError, in which no key is shown, if they aren't.
        """
        keys: dict[str, bytes] = {}
        for at, part in enumerate(text.split(","), 1):
            name, _, encoded = part.strip().partition(":")
            try:
                key = base64.b64decode(encoded, altchars=b"-_", validate=True)
            except (binascii.Error, ValueError):
                key = b""
            if not _ID.fullmatch(name) or len(key) != KEY_BYTES or name in keys:
                # The id isn't shown: it may be a key that was written without one.
                msg = f"{where}: the key at place {at} can't be used, or its id is there twice"
                raise ConfigurationError(f"{msg}; {_HOW}")
            keys[name] = key
        return cls(keys)

    @classmethod
    def from_env(cls, variable: str = KEYS_VARIABLE) -> KeyRing:
        """Return the keys that an environment variable holds; see ``parse``."""
        text = os.environ.get(variable)
        if not text:
            msg = f"the environment variable {variable} holds no keys; {_HOW}"
            raise ConfigurationError(msg)
        return cls.parse(text, f"${variable}")

    @staticmethod
    def generate(name: str) -> str:
        """Return a new key as text, for ``parse``: keep it where secrets are kept."""
        return f"{name}:{base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"

    def seal(self, place: bytes, payload: bytes, *, fixed: bool = False) -> bytes:
        """Return the payload, sealed for this place; ``fixed``: the same again for the same."""
        nonce = _FIXED_NONCE if fixed else os.urandom(_NONCE_BYTES)
        return self._sealed(place, payload, nonce)

    def seal_all(self, places: Sequence[bytes], payloads: Sequence[bytes]) -> list[bytes]:
        """Return payloads, each sealed for its place, with nonces that are drawn at once."""
        drawn = os.urandom(_NONCE_BYTES * len(places))
        nonces = (drawn[at : at + _NONCE_BYTES] for at in range(0, len(drawn), _NONCE_BYTES))
        return [*map(self._sealed, places, payloads, nonces)]

    def _sealed(self, place: bytes, payload: bytes, nonce: bytes) -> bytes:
        sealed = self._seals.encrypt(nonce, payload, self._head + place)
        return self._head + self._encode(nonce + sealed)

    def is_newest(self, sealed: bytes | str) -> bool:
        """Whether this says that the first key sealed it; to be believed once it was opened."""
        data = sealed.encode() if isinstance(sealed, str) else sealed
        return data.startswith(self._head)

    def open(self, place: bytes, sealed: bytes | str) -> bytes:
        """Return what was sealed for this place; see ``place_of``.

        Raises:
            DecryptionError: it isn't sealed, by no key of the ring, for another place, or changed.

        """
        text: bytes | str
        # Texts as they are: encoding them costs a copy of each.
        if sealed.startswith(self._head_text if isinstance(sealed, str) else self._head):  # pyright: ignore[reportArgumentType]
            cipher, head, text = self._seals, self._head, sealed[len(self._head) :]
        else:
            data = sealed.encode() if isinstance(sealed, str) else sealed
            cipher, head, text = self._by_another(place, data)
        try:
            # By its places, which costs half as much: no other alphabet, and nothing passed over.
            raw = self._decode(text, None, True)  # noqa: FBT003
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], head + place)
        except (binascii.Error, ValueError, _invalid_tag()) as error:
            msg = (
                f"{_told(place)}: can't be opened by the key {head[1:-1].decode()!r}: that is "
                "another key of this id, or what is stored was changed or exchanged"
            )
            raise DecryptionError(msg) from error

    def _by_another(self, place: bytes, data: bytes) -> tuple[AESGCMSIV, bytes, bytes]:
        """Return the cipher of what another key than the first sealed, the key's mark, the rest."""
        parts = data.split(_MARK, 2)
        if len(parts) != 3 or parts[0]:  # noqa: PLR2004 - nothing, id, text
            msg = f"{_told(place)}: is stored in clear, where only sealed values are taken"
            raise DecryptionError(f"{msg}; somebody wrote it without keys, or exchanged it")
        cipher = self._ciphers.get(parts[1])
        if cipher is None:
            shown = parts[1].decode(errors="replace")[:32]
            msg = f"{_told(place)}: is sealed by the key {shown!r}, which is none of {self.ids}"
            raise DecryptionError(f"{msg}; add that key behind the others")
        return cipher, _MARK + parts[1] + _MARK, parts[2]


def sealed_by(payload: bytes | str) -> str | None:
    """Return the id of the key that a stored value says it is sealed by; None if it is in clear."""
    data = payload.encode() if isinstance(payload, str) else payload
    # JSON begins with none of them.
    parts = data.split(_MARK, 2)
    return None if len(parts) < 3 or parts[0] else parts[1].decode(errors="replace")  # noqa: PLR2004 - nothing, id, text


def _cipher(key: bytes) -> AESGCMSIV:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
    except ModuleNotFoundError as error:
        msg = f"a key ring {needs('cryptography')}"
        raise ConfigurationError(msg) from error
    try:
        return AESGCMSIV(key)
    except UnsupportedAlgorithm as error:
        msg = "cryptography's OpenSSL has no AES-GCM-SIV; use its wheel, or OpenSSL 3.2"
        raise ConfigurationError(msg) from error


def _base64() -> tuple[Callable[[bytes], bytes], Callable[..., bytes]]:
    """Return what encodes and decodes; the standard library's take as long as the cipher."""
    try:
        import pybase64
    except ModuleNotFoundError as error:
        msg = f"a key ring {needs('pybase64')}"
        raise ConfigurationError(msg) from error
    return pybase64.b64encode, pybase64.b64decode


def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag


def place_of(fleet: str, kind: str, *names: str) -> bytes:
    """Return what binds a sealed payload to where it is stored; no part holds a control character.

    A key, a queue's name and a job's id are told apart by their kinds.
    """
    return "\0".join((fleet, kind, *names)).encode()


def _told(place: bytes) -> str:
    """Return how messages call a place."""
    _, kind, *names = place.decode().split("\0")
    match kind:
        case "entry":
            return repr("\0".join(names))
        case "job":
            return f"job {names[-1]}"
        case "schedule":
            return f"schedule {names[-1]!r} of queue {names[0]!r}"
        case "result" | "error" | "progress":
            return f"{kind} of job {names[-1]} in queue {names[0]!r}"
        case "lease":
            return f"holder of lease {names[0]!r}"
        case _:
            return "what it holds"
