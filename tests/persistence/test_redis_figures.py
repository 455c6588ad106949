"""Figures of Redis servers, from what INFO may tell."""

from __future__ import annotations

from lionagi_qe.persistence.redis.figures import server_figures


def test_figures_of_several_servers_add_up() -> None:
    first = {"used_memory": "5", "maxmemory": "10", "maxmemory_policy": "noeviction", "x": "y"}
    second = {"used_memory": "7", "maxmemory": "10", "maxmemory_policy": "noeviction"}
    assert server_figures([first, second]) == {
        "servers": 2,
        "used_memory": 12,
        "maxmemory": 20,
        "maxmemory_policy": "noeviction",
    }


def test_one_server_without_a_limit_means_none_and_policies_that_differ_are_all_told() -> None:
    first = {"maxmemory": "10", "maxmemory_policy": "volatile-ttl"}
    second = {"maxmemory": "0", "maxmemory_policy": "allkeys-lru"}
    found = server_figures([first, second])
    assert (found["maxmemory"], found["maxmemory_policy"]) == (0, "allkeys-lru, volatile-ttl")


def test_what_a_server_does_not_tell_is_left_out() -> None:
    assert server_figures([{}]) == {"servers": 1}
