"""Signatures of the tasks that workers carry out: whoever has no key gives them no work.

HMAC-SHA256 (RFC 2104) over the task as canonical JSON, its kind of workers and its fleet. A task
names the project's files and all else that it ships by their SHA-256, so they are signed with it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import ConfigurationError, UntrustedTaskError
from lionagi_qe.fleet import channels

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        return {**payload, _SIGNATURE: _signature(self.keys[0], payload, fleet)}

    def check(self, payload: Mapping[str, Any], fleet: str) -> dict[str, Any]:
        """Return a task's payload without its signature.

        Raises:
            UntrustedTaskError: it has none, or none by these keys for this fleet.

        """
        own = unsigned(payload)
        told = payload.get(_SIGNATURE)
        if not isinstance(told, str) or not told.isascii():
            raise UntrustedTaskError(f"the task is not signed, as this worker wants it: {_HOW}")
        if not any(hmac.compare_digest(_signature(key, own, fleet), told) for key in self.keys):
            raise UntrustedTaskError(
                f"the task is signed by no key that this worker trusts, or was changed: {_HOW}"
            )
        return own


def unsigned(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's payload without its signature, whatever that is."""
    return {name: value for name, value in payload.items() if name != _SIGNATURE}


def refusal(shown: str) -> str:
    """Return why a worker of this memory, which has no keys, takes no work."""
    return (
        f"{shown}: whoever can write there could run code here, and no key tells whose tasks to "
        f"trust; {_HOW}; or say --allow-unsigned where nobody else can write"
    )


def _signature(key: bytes, payload: Mapping[str, Any], fleet: str) -> str:
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    context = f"aqe task 1\n{channels.name()}\n{fleet}\n"
    return hmac.new(key, context.encode() + text.encode(), hashlib.sha256).hexdigest()
