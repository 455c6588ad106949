"""Figures of servers, from what INFO tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of several servers, they add up.
_NUMBERS = ("used_memory", "maxmemory", "connected_clients", "blocked_clients", "evicted_keys")


def server_figures(servers: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Return the figures of all servers together, numbers as numbers; what none tells is left out.

    ``maxmemory`` is 0 where a server has no limit.
    """
    figures: dict[str, Any] = {"servers": len(servers)}
    for name in _NUMBERS:
        told = [int(info[name]) for info in servers if name in info]
        if told:
            figures[name] = sum(told)
    if figures.get("maxmemory") and any(info.get("maxmemory") == "0" for info in servers):
        figures["maxmemory"] = 0
    policies = {info["maxmemory_policy"] for info in servers if "maxmemory_policy" in info}
    if policies:
        figures["maxmemory_policy"] = ", ".join(sorted(policies))
    return figures
