"""Settings of LangGraph's own stores and savers that ours have elsewhere, or need not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOGETHER = "leave it out: calls of one moment travel together by themselves"
_ADDRESS = "give the server's URL as the first argument, or a Memory"
_ONE_PREFIX = "leave it out: all keys start with prefix="
ELSEWHERE = {
    "conn": _ADDRESS,
    "redis_url": _ADDRESS,
    "redis_client": _ADDRESS,
    "connection_args": "write them into the URL: user, password, rediss:// for TLS",
    "cluster_mode": "write redis+cluster:// in the URL of a Redis Cluster",
    "pool_config": "write ?pool_size=10 in the URL, the most connections that are opened; what "
    "else there is to a pool needs no setting",
    "pipe": _TOGETHER,
    "pipeline": _TOGETHER,
    "deserializer": "leave it out: items are JSON",
    "factory": "leave it out: what is stored lies in the memory",
    "store_prefix": "give prefix='aqe/...', what the keys of items start with",
    "vector_prefix": _ONE_PREFIX,
    "checkpoint_prefix": "give prefix='aqe/...', what the keys of checkpoints start with",
    "checkpoint_write_prefix": _ONE_PREFIX,
}


def check_settings(given: Iterable[str]) -> None:
    """Refuse what LangGraph's own take and ours don't, saying what to write instead.

    Raises:
        InvalidArgumentError: one is among them.

    """
    known = [f"{name}=: {ELSEWHERE[name]}" for name in given if name in ELSEWHERE]
    if known:
        raise InvalidArgumentError("; ".join(known))
