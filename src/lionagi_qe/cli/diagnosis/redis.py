"""What the figures of Redis servers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.cli.diagnosis import support
from lionagi_qe.cli.diagnosis.finding import MIB, NEARLY_FULL, Finding, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_EVICTS_NOTHING = "noeviction"
_FRAGMENTED = 1.5
_MUCH = 256 * MIB
_LATE_REPLICA = 10


def findings(figures: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge the figures of ``persistence.redis.inspection``; each once, however many servers."""
    told: dict[tuple[str, str], Finding] = {}
    for server in figures["servers"]:
        for finding in _of(server, figures["appendfsync"]):
            told.setdefault((finding.check, finding.means), finding)
    yield from told.values()


def _of(server: Mapping[str, Any], appendfsync: str) -> Iterable[Finding]:
    if "valkey_version" not in server:
        yield from support.redis(server.get("redis_version", ""))
    yield from _memory(server)
    yield from _persistence(server, appendfsync)
    yield from _replication(server)
    clients, most = server.get("connected_clients", 0), server.get("maxclients", 0)
    if most and clients > most * NEARLY_FULL:
        yield Finding(
            "connections",
            "problem",
            f"{clients} of {most} clients are connected",
            "further ones are refused",
            "Raise maxclients, or close what is not used",
        )


def _memory(server: Mapping[str, Any]) -> Iterator[Finding]:
    policy, most = server.get("maxmemory_policy", _EVICTS_NOTHING), server.get("maxmemory", 0)
    used = server.get("used_memory", 0)
    if policy != _EVICTS_NOTHING:
        yield Finding(
            "eviction",
            "problem" if most else "advice",
            f"maxmemory-policy is {policy}"
            + (f", maxmemory {size(most)}" if most else ", and maxmemory is not set"),
            "Redis may evict entries, and parts of indexes and queues: the memory would be broken",
            f"CONFIG SET maxmemory-policy {_EVICTS_NOTHING}, and in redis.conf",
        )
    if server.get("evicted_keys"):
        yield Finding(
            "eviction",
            "problem",
            f"{server['evicted_keys']} keys were evicted since the start",
            "if some were the memory's, entries are lost and indexes name what isn't there",
            "Compare it with a copy: aqe memory verify",
        )
    if not most:
        yield Finding(
            "maxmemory",
            "advice",
            "maxmemory is not set",
            "Redis grows until the machine has no memory left and is killed, rather than refuse "
            "writes",
            "Set it below what the machine has; a snapshot may need as much again",
        )
    elif used > most * NEARLY_FULL:
        yield Finding(
            "maxmemory",
            "problem",
            f"{size(used)} of {size(most)} are used",
            "when all is used every write is refused; what is stored stays",
            "Raise maxmemory, or remove what isn't needed",
        )
    ratio = float(server.get("mem_fragmentation_ratio", "1"))
    if used > _MUCH and ratio > _FRAGMENTED:
        yield Finding(
            "bloat",
            "advice",
            f"Redis holds {ratio} times the memory that it uses",
            "it is fragmented: the machine lacks what nobody uses",
            "CONFIG SET activedefrag yes, where its allocator can; a restart does so, too",
        )


def _persistence(server: Mapping[str, Any], appendfsync: str) -> Iterator[Finding]:
    if not server.get("aof_enabled"):
        yield Finding(
            "durability",
            "advice",
            "AOF is off",
            "a crash of Redis takes all since its last snapshot",
            "CONFIG SET appendonly yes, and in redis.conf",
        )
    elif appendfsync == "no":
        yield Finding(
            "durability",
            "advice",
            "appendfsync is no",
            "a crash of the machine takes what the kernel had not written yet, some 30 s",
            "CONFIG SET appendfsync everysec (about a second is lost) or always (nothing is)",
        )
    broken = [
        name
        for name in ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
        if server.get(name, "ok") != "ok"
    ]
    if broken:
        yield Finding(
            "durability",
            "problem",
            f"{', '.join(broken)}: err",
            "Redis could not write to its disk; while that lasts it may refuse changes, or keep "
            "them in memory alone",
            "Look into its log and at its disk",
        )


def _replication(server: Mapping[str, Any]) -> Iterator[Finding]:
    replicas = server["replicas"]
    late = [each["lag_seconds"] for each in replicas if each["state"] == "online"]
    if replicas:
        yield Finding(
            "replication",
            "advice",
            f"{len(replicas)} replica(s)",
            "one that takes over may lack the last acknowledged writes, unless they are waited for",
            "Where none may be lost, open memories with ?wait_replicas=1",
        )
    if len(late) < len(replicas) or (late and max(late) > _LATE_REPLICA):
        yield Finding(
            "replication",
            "problem",
            f"replicas that are away or behind: {len(replicas)} are known, {len(late)} online, "
            f"{max(late, default=0)} s behind at most",
            "what they lack would be gone if one of them took over now",
            "Look at their logs, network and memory",
        )
    if server.get("role") == "slave" and server.get("master_link_status") != "up":
        yield Finding(
            "replication",
            "problem",
            "this replica has lost its primary",
            "it tells what was, and refuses changes",
            "Look at the primary and the network between them",
        )
