"""The Lua scripts of the Redis backend: text, digest, and how they are called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

TOMBSTONE_MS = 300_000
_PRELUDE = "entry.lua"


@dataclass(frozen=True, slots=True)
class Script:
    """One script; ``digest`` is what EVALSHA knows it by."""

    name: str
    text: str
    digest: str


def _load(name: str) -> Script:
    folder = resources.files(__package__ or "").joinpath("lua")
    text = "\n".join(
        folder.joinpath(file).read_text(encoding="utf-8") for file in (_PRELUDE, f"{name}.lua")
    )
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


APPLY = _load("apply")
PAGE = _load("page")
CLEAR = _load("clear")
SWEEP = _load("sweep")
COUNT = _load("count")
