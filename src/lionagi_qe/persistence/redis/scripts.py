"""The Lua scripts of the Redis backend: text, digest, and how they are called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

TOMBSTONE_MS = 300_000
_PRELUDE = "entry"


@dataclass(frozen=True, slots=True)
class Script:
    """One script; ``digest`` is what EVALSHA knows it by."""

    name: str
    text: str
    digest: str


def _load(name: str, *parts: str) -> Script:
    """Read a script; ``parts`` are the files of functions that it uses."""
    folder = resources.files(__package__ or "").joinpath("lua")
    text = "\n".join(
        folder.joinpath(f"{part}.lua").read_text(encoding="utf-8")
        for part in (_PRELUDE, *parts, name)
    )
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


APPLY = _load("apply", "fence", "operations")
PAGE = _load("page")
CLEAR = _load("clear")
SWEEP = _load("sweep", "expiry")
LOG = _load("log", "expiry")
COUNT = _load("count")
CACHE = _load("cache")
LEASE = _load("lease", "fence")
LEASE_LIST = _load("lease_list", "fence")
_JOBS = ("queue_lines", "queue", "queue_dependencies", "queue_batches")
QUEUE_APPLY = _load("queue_apply", "fence", *_JOBS)
QUEUE_TRANSACT = _load("queue_transact", "fence", "operations", *_JOBS)
QUEUE_CLAIM = _load("queue_claim", *_JOBS, "queue_turns")
QUEUE_LOOK = _load("queue_look", "queue_lines", "queue")
QUEUE_PAGE = _load("queue_page", "queue_lines", "queue")
QUEUE_SCHEDULE = _load("queue_schedule", "queue_lines", "queue")
QUEUE_EXCHANGE = _load("queue_exchange", "queue_lines", "queue")
QUEUE_BATCH_LOOK = _load("queue_batch_look", "queue_lines", "queue")
QUEUE_DEAD = _load("queue_dead", *_JOBS)
QUEUE_LIMIT = _load("queue_limit", "queue_lines")
INDEX_READ = _load("index_read", "index")
INDEX_WRITE = _load("index_write", "index")
