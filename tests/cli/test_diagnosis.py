"""What ``aqe doctor`` makes of figures that no test should bring a server to."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.cli.diagnosis import general, postgres, redis, sqlite
from lionagi_qe.cli.diagnosis.finding import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lionagi_qe.cli.diagnosis.finding import Finding

TODAY = date(2026, 6, 1)
POSTGRES: dict[str, Any] = {
    "version_num": 180_001,
    "autovacuum": "on",
    "full_page_writes": "on",
    "fsync": "on",
    "synchronous_commit": "on",
    "synchronous_standby_names": "",
    "usable_connections": 97,
    "connections": 3,
    "oldest_transaction_seconds": 0.2,
    "bytes": MIB,
    "inactive_slots": 0,
    "tables": [{"table": "entries", "live": 10, "dead": 9_000, "bytes": MIB}],
    "standbys": [],
    "revisions_cached": 1,
    "transaction_pooler": False,
}
STANDBY = {"state": "streaming", "sync_state": "async", "replay_lag_seconds": 0.1}
REDIS: dict[str, Any] = {
    "redis_version": "8.2.1",
    "used_memory": MIB,
    "maxmemory": GIB,
    "maxmemory_policy": "noeviction",
    "connected_clients": 4,
    "maxclients": 10_000,
    "evicted_keys": 0,
    "aof_enabled": 1,
    "role": "master",
    "rdb_last_bgsave_status": "ok",
    "mem_fragmentation_ratio": "3.2",
    "replicas": [],
}
SQLITE: dict[str, Any] = {
    "bytes": 100 * MIB,
    "free_bytes": MIB,
    "journal_mode": "wal",
    "wal_bytes": 4 * MIB,
    "disk_free_bytes": 100 * GIB,
}


def told(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    found = list(findings)
    for finding in found:
        assert all((finding.found, finding.means, finding.do)), finding
        assert not str(finding).count(".."), finding
    return [(finding.check, finding.level) for finding in found]


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, []),
        ({"version_num": 130_020}, [("version", "problem")]),
        ({"version_num": 140_000}, []),
        ({"fsync": "off"}, [("durability", "advice")]),
        ({"synchronous_commit": "off"}, [("durability", "advice")]),
        ({"full_page_writes": "off"}, [("durability", "advice")]),
        ({"autovacuum": "off"}, [("bloat", "problem")]),
        (
            {"tables": [{"table": "entries", "live": 9, "dead": 10_001, "bytes": MIB}]},
            [("bloat", "problem")],
        ),
        ({"oldest_transaction_seconds": 700.0}, [("bloat", "problem")]),
        ({"oldest_transaction_seconds": None}, []),
        ({"standbys": [STANDBY]}, [("replication", "advice")]),
        (
            {
                "standbys": [{**STANDBY, "sync_state": "sync", "replay_lag_seconds": None}],
                "synchronous_standby_names": "s1",
            },
            [],
        ),
        (
            {"standbys": [STANDBY], "synchronous_standby_names": "s1"},
            [("replication", "problem")],
        ),
        (
            {"standbys": [{**STANDBY, "replay_lag_seconds": 60.0}]},
            [("replication", "advice"), ("replication", "problem")],
        ),
        ({"inactive_slots": 1}, [("replication", "problem")]),
        ({"connections": 90}, [("connections", "problem")]),
        ({"transaction_pooler": True}, [("pooler", "advice")]),
        ({"revisions_cached": 100}, [("revisions", "unfit")]),
        ({"revisions_cached": None}, []),
    ],
)
def test_postgresql(changed: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    assert told(postgres.findings({**POSTGRES, **changed}, TODAY)) == wanted


@pytest.mark.parametrize(
    ("probed", "wanted"),
    [
        ({}, []),
        ({"system": "PostgreSQL", "lacking": {}}, []),
        ({"system": "Citus", "lacking": {}}, [("compatibility", "advice")]),
        (
            {"system": "CockroachDB", "lacking": {"LISTEN and NOTIFY": "unimplemented"}},
            [("compatibility", "unfit"), ("compatibility", "problem")],
        ),
        ({"system": "YugabyteDB", "lacking": {}}, [("compatibility", "problem")]),
    ],
)
def test_servers_that_only_speak_postgresql_s_protocol(
    probed: dict[str, Any], wanted: list[tuple[str, str]]
) -> None:
    assert told(postgres.compatibility(probed)) == wanted


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, []),
        ({"redis_version": "6.2.14"}, [("version", "advice")]),
        ({"redis_version": "6.2.6", "valkey_version": "9.0.1"}, []),
        ({"redis_version": "unknown"}, []),
        ({"maxmemory_policy": "allkeys-lru"}, [("eviction", "problem")]),
        (
            {"maxmemory_policy": "allkeys-lru", "maxmemory": 0},
            [("eviction", "advice"), ("maxmemory", "advice")],
        ),
        ({"evicted_keys": 5}, [("eviction", "problem")]),
        ({"used_memory": 900 * MIB}, [("maxmemory", "problem"), ("bloat", "advice")]),
        ({"aof_enabled": 0}, [("durability", "advice")]),
        ({"rdb_last_bgsave_status": "err"}, [("durability", "problem")]),
        ({"connected_clients": 9_000}, [("connections", "problem")]),
        ({"replicas": [{"state": "online", "lag_seconds": 0}]}, [("replication", "advice")]),
        (
            {"replicas": [{"state": "wait_bgsave", "lag_seconds": 0}]},
            [("replication", "advice"), ("replication", "problem")],
        ),
        ({"role": "slave", "master_link_status": "down"}, [("replication", "problem")]),
    ],
)
def test_redis(changed: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    servers = [{**REDIS, **changed}] * 3
    assert told(redis.findings({"servers": servers, "appendfsync": "everysec"})) == wanted


def test_redis_that_leaves_writing_to_the_kernel() -> None:
    found = redis.findings({"servers": [REDIS], "appendfsync": "no"})
    assert told(found) == [("durability", "advice")]


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, []),
        ({"free_bytes": 60 * MIB}, [("bloat", "advice")]),
        ({"bytes": MIB, "free_bytes": MIB}, []),
        ({"wal_bytes": 101 * MIB}, [("wal", "problem")]),
        ({"disk_free_bytes": MIB}, [("disk", "problem")]),
        ({"journal_mode": "delete"}, [("journal", "problem")]),
    ],
)
def test_sqlite(changed: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    assert told(sqlite.findings({**SQLITE, **changed})) == wanted


@pytest.mark.parametrize(
    ("skew", "error", "wanted"),
    [(0, 1, []), (1_500, 600, []), (-90_000, 5, [("clock", "problem")])],
)
def test_clocks(skew: float, error: float, wanted: list[tuple[str, str]]) -> None:
    assert told(general.clock(skew, error)) == wanted


@pytest.mark.parametrize(
    ("sealed", "clear", "keys", "wanted"),
    [
        ((), 3, (), 0),
        (("k1",), 0, ("k1", "k0"), 0),
        (("k1",), 0, (), 1),
        (("k1",), 0, ("k2",), 1),
        (("k1",), 2, ("k1",), 1),
        (("k1",), 2, ("k2",), 2),
    ],
)
def test_encryption(
    sealed: tuple[str, ...], clear: int, keys: tuple[str, ...], wanted: int
) -> None:
    found = told(general.encryption(sealed, clear, keys))
    assert found == [("encryption", "unfit")] * wanted
