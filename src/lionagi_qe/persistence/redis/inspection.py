"""What a Redis server, or each primary of a cluster, tells of its health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lionagi_qe.persistence.redis.backend import RedisBackend

_NUMBERS = (
    "used_memory",
    "maxmemory",
    "connected_clients",
    "maxclients",
    "evicted_keys",
    "connected_slaves",
    "rdb_changes_since_last_save",
    "rdb_last_save_time",
    "aof_enabled",
)
_TEXTS = (
    "redis_version",
    "valkey_version",
    "maxmemory_policy",
    "role",
    "rdb_last_bgsave_status",
    "aof_last_write_status",
    "aof_last_bgrewrite_status",
    "master_link_status",
    "mem_fragmentation_ratio",
)


async def inspect(backend: RedisBackend) -> dict[str, Any]:
    """Return what each server tells that changes are sent to, and how often it writes to disk."""
    facts = await backend.describe()
    servers = [_figures(told) for told in await backend.session.link.info()]
    return {"servers": servers, "appendfsync": facts["appendfsync"]}


def _figures(told: dict[str, str]) -> dict[str, Any]:
    figures: dict[str, Any] = {name: int(told[name]) for name in _NUMBERS if name in told}
    figures |= {name: told[name] for name in _TEXTS if name in told}
    # slave0:ip=10.0.0.2,port=6379,state=online,offset=1234,lag=0
    replicas: list[dict[str, str]] = [
        {part.partition("=")[0]: part.partition("=")[2] for part in value.split(",")}
        for name, value in told.items()
        if name.startswith("slave") and name.removeprefix("slave").isdecimal()
    ]
    figures["replicas"] = [
        {"state": each.get("state"), "lag_seconds": int(each.get("lag", "-1"))} for each in replicas
    ]
    return figures
