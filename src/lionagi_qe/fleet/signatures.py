"""Signatures of tasks and results: whoever has no key gives workers no work, and runs no figures.

HMAC-SHA256 (RFC 2104) over canonical JSON and its context: of a task the kind of workers and the
fleet, of a result its place in its run. A task names the project's files and all else that it ships
by their SHA-256, a result those files and what is too long for it, so they are signed with it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import ConfigurationError, UntrustedResultError, UntrustedTaskError
from lionagi_qe.fleet import channels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLE = "LIONAGI_QE_SIGNING_KEYS"
_LEAST_CHARACTERS = 32
_SIGNATURE = "signature"
_HOW = (
    f"put the same key of at least {_LEAST_CHARACTERS} random characters into {VARIABLE} where "
    "aqe run and aqe worker run, for example that of: openssl rand -hex 32"
)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Keys that commanders and workers share.

    Attributes:
        keys: the first signs, each is trusted; so that a key can be exchanged while in use.
    """

    keys: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def from_env(cls, variables: Mapping[str, str] = os.environ) -> SigningKeys | None:
        """Return the keys that ``LIONAGI_QE_SIGNING_KEYS`` holds, separated by commas; or None.

        Raises:
            ConfigurationError: one is too short to be a secret.

        """
        words = [word.strip() for word in variables.get(VARIABLE, "").split(",")]
        found = tuple(word.encode() for word in words if word)
        if any(len(key) < _LEAST_CHARACTERS for key in found):
            raise ConfigurationError(
                f"{VARIABLE}: holds a key of fewer than {_LEAST_CHARACTERS} characters; {_HOW}"
            )
        return cls(found) if found else None

    def signed(self, payload: Mapping[str, Any], fleet: str) -> dict[str, Any]:
        """Return a task's payload with its signature."""
        return {**payload, _SIGNATURE: _signature(self.keys[0], payload, _of_task(fleet))}

    def check(self, payload: Mapping[str, Any], fleet: str) -> dict[str, Any]:
        """Return a task's payload without its signature.

        Raises:
            UntrustedTaskError: it has none, or none by these keys for this fleet.

        """
        match self._found(payload, _of_task(fleet)):
            case None:
                raise UntrustedTaskError(f"the task is not signed, as this worker wants it: {_HOW}")
            case False:
                raise UntrustedTaskError(
                    f"the task is signed by no key that this worker trusts, or was changed: {_HOW}"
                )
            case _:
                return unsigned(payload)

    def signed_result(self, value: Mapping[str, Any], place: Sequence[str]) -> dict[str, Any]:
        """Return what a run keeps at a place, with its signature; see ``ResultSignatures``."""
        return {**value, _SIGNATURE: _signature(self.keys[0], value, _of_result(place))}

    def check_result(self, value: object, place: Sequence[str]) -> dict[str, Any]:
        """Return what a run keeps at a place without its signature.

        Raises:
            UntrustedResultError: it has none, or none by these keys for this place.

        """
        kept: dict[str, Any] = value if isinstance(value, dict) else {}
        match self._found(kept, _of_result(place)):
            case None:
                raise UntrustedResultError(f"is not signed: {_HOW}")
            case False:
                raise UntrustedResultError(
                    "is signed by no key that is trusted here, or was changed, or is another "
                    f"task's or run's: {_HOW}"
                )
            case _:
                return unsigned(kept)

    def _found(self, payload: Mapping[str, Any], context: str) -> bool | None:
        """Return whether one of the keys signed this; None if nobody did."""
        told = payload.get(_SIGNATURE)
        if not isinstance(told, str) or not told.isascii():
            return None
        own = unsigned(payload)
        return any(hmac.compare_digest(_signature(key, own, context), told) for key in self.keys)


def unsigned(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's payload without its signature, whatever that is."""
    return {name: value for name, value in payload.items() if name != _SIGNATURE}


def refusal(shown: str) -> str:
    """Return why a worker of this memory, which has no keys, takes no work."""
    return (
        f"{shown}: whoever can write there could run code here, and no key tells whose tasks to "
        f"trust; {_HOW}; or say --allow-unsigned where nobody else can write"
    )


def _of_task(fleet: str) -> str:
    return f"aqe task 1\n{channels.name()}\n{fleet}\n"


def _of_result(place: Sequence[str]) -> str:
    # As JSON, so that no name can pass for two.
    return f"aqe result 1\n{json.dumps([*place])}\n"


def _signature(key: bytes, payload: Mapping[str, Any], context: str) -> str:
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(key, context.encode() + text.encode(), hashlib.sha256).hexdigest()
