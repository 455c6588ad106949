"""Which versions of servers a memory needs; docs/matrix.md tells on which it was tried."""

from __future__ import annotations

import re
from typing import Final

from lionagi_qe.errors import ConfigurationError

# PostgreSQL 12 has no pg_current_snapshot; Redis 6.0 has no ZRANDMEMBER, HRANDFIELD and LPOP COUNT.
OLDEST: Final = {"PostgreSQL": (13,), "Redis": (6, 2)}


def refuse_older(system: str, version: str, where: str) -> None:
    """Refuse a server that is older than what the memory needs.

    A version that doesn't begin with numbers is let through: it is some other maker's.

    Args:
        system: "PostgreSQL" or "Redis".
        version: what the server tells, as "12.22 (Debian 12.22-1)".
        where: the server, for people.

    Raises:
        ConfigurationError: it is older.

    """
    oldest = OLDEST[system]
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    if numbers is None:
        return
    told = tuple(map(int, numbers[0].split(".")))
    if told < oldest:
        msg = (
            f"{where}: {system} {numbers[0]} answers, and a memory needs "
            f"{'.'.join(map(str, oldest))} or newer; upgrade the server. Nothing was changed"
        )
        raise ConfigurationError(msg)
