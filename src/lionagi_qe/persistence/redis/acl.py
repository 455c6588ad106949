"""The rules of a Redis user that is bound to one fleet: which keys, channels and commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What asks, in scripts too, and what a client and its driver say to begin with. INFO is of the
# whole server: get_stats tells of it. CONFIG isn't there; aqe doctor says what it can't see.
READING = (
    "asking",
    "client|setinfo",
    "client|setname",
    "cluster|slots",
    "command",
    "eval",
    "evalsha",
    "exists",
    "get",
    "getrange",
    "hexists",
    "hget",
    "hgetall",
    "hlen",
    "hmget",
    "hvals",
    "info",
    "mget",
    "ping",
    "pttl",
    "role",
    "smembers",
    "strlen",
    "subscribe",
    "time",
    "wait",
    "zcard",
    "zcount",
    "zrandmember",
    "zrange",
    "zrangebylex",
    "zrangebyscore",
    "zrevrange",
    "zrevrangebylex",
    "zscore",
)
# What changes, and what recall deletes by.
WRITING = (
    "del",
    "hdel",
    "hincrby",
    "hrandfield",
    "hset",
    "hsetnx",
    "incr",
    "incrby",
    "lpop",
    "pexpire",
    "publish",
    "rpush",
    "sadd",
    "set",
    "spop",
    "srem",
    "zadd",
    "zpopmin",
    "zrem",
    "zremrangebyscore",
)


def places_of(prefixes: Iterable[str], fleet: str) -> list[str]:
    """Return the patterns of the fleet's keys and channels; no other fleet's key matches one.

    ``prefixes``: those of its shards. Its layout lies beside them.
    """
    # A fleet's name holds nothing that patterns of Redis take for more than text.
    return list(dict.fromkeys([f"aqe:{{{fleet}}}:*", *(f"{prefix}:*" for prefix in prefixes)]))


def rules_of(places: Sequence[str], digest: str, *, writing: bool, database: bool) -> list[str]:
    """Return the rules of a user, behind ACL SETUSER and its name.

    Args:
        places: see ``places_of``.
        digest: SHA-256 of its password, hexadecimal: the server needs no more.
        writing: it may change what lies there.
        database: its URL names another database than the first.

    """
    commands = [*READING, *(WRITING if writing else ()), *(("select",) if database else ())]
    return [
        "reset",
        # Which in Redis 6.2 lets a user listen to all.
        "resetchannels",
        "on",
        f"#{digest}",
        *(f"~{place}" for place in places),
        *(f"&{place}" for place in places),
        "-@all",
        *(f"+{name}" for name in commands),
    ]
