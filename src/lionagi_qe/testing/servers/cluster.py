"""A Redis Cluster of our own."""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import TYPE_CHECKING, Self

from lionagi_qe.testing.servers.ports import HOST, free_port, wait_until
from lionagi_qe.testing.servers.redis import IMAGE, RedisServer
from lionagi_qe.testing.servers.runner import Container, docker_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from lionagi_qe.testing.servers.binaries import Flavour

SLOTS = 16_384
NODES = 3
_NODE_TIMEOUT_MS = 2_000
_AGREE = 60.0
# A replica that is asked to take over gives up after 5 s, and is asked again.
_MANUAL_SECONDS = 6.0


class ClusterNode(RedisServer):
    """One node: a RedisServer in cluster mode.

    Args:
        flavour: see RedisServer.
        port: the port to take; None picks a free one.
        network: the container whose network the node joins, under Docker.
        settings: see RedisServer.

    """

    def __init__(
        self,
        flavour: Flavour | None = None,
        *,
        port: int | None = None,
        network: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            flavour,
            settings={
                "databases": "1",
                "cluster-enabled": "yes",
                "cluster-announce-ip": HOST,
                "cluster-node-timeout": str(_NODE_TIMEOUT_MS),
                **(settings or {}),
            },
        )
        self._wanted = port
        self._joined = network

    def agrees(self, nodes: int) -> bool:
        """Whether it knows this many nodes and all slots are served."""
        lines = str(self.execute("CLUSTER", "INFO")).splitlines()
        told = dict(line.split(":", 1) for line in lines if ":" in line)
        return (
            told["cluster_state"] == "ok"
            and told["cluster_slots_ok"] == str(SLOTS)
            and told["cluster_known_nodes"] == str(nodes)
        )

    @property
    def node_id(self) -> str:
        """By what the other nodes know it."""
        return str(self.execute("CLUSTER", "MYID"))

    def is_primary(self) -> bool:
        """Whether it is no replica, by its own word."""
        return self.execute("ROLE")[0] == "master"

    def follows(self) -> bool:
        """Whether it is a replica that has its primary's data."""
        role = self.execute("ROLE")
        return role[0] == "slave" and role[3] == "connected"

    @property
    def primary_port(self) -> int:
        """The port of the primary that a replica follows."""
        return int(self.execute("ROLE")[2])

    def _choose_port(self) -> int:
        return self._wanted or free_port()

    def _network(self, port: int) -> list[str]:
        return [f"--network=container:{self._joined}"] if self._joined else super()._network(port)


class RedisCluster:
    """Three Redis servers in cluster mode that share all 16,384 slots, with replicas if wanted.

    ``start``, ``stop``, ``kill``, ``pause`` and the rest mean all nodes; ``nodes`` has each.
    Under Docker the nodes share the network of one container, so that the addresses by which they
    know each other are also those by which clients on this machine reach them.

    Args:
        flavour: see RedisServer.
        replicas: how many each of the three has.
        settings: of all nodes, see RedisServer.

    """

    def __init__(
        self,
        flavour: Flavour | None = None,
        *,
        replicas: int = 0,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._flavour: Flavour | None = flavour
        self._count = NODES * (1 + replicas)
        # A lost link to a primary is noticed and made anew within seconds.
        linked = {"repl-diskless-sync-delay": "0", "repl-timeout": "5"} if replicas else {}
        self._settings = {**linked, **(settings or {})}
        self._network: Container | None = None
        self.nodes: list[ClusterNode] = []

    @property
    def url(self) -> str:
        """The URL of the first node, by which a client finds the others."""
        return f"redis+cluster://{HOST}:{self.nodes[0].port}"

    @property
    def version(self) -> str:
        """The version that the first node tells."""
        return self.nodes[0].version

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the nodes, the first time or again, and wait until all slots are served.

        Raises:
            ServerStartError: a node didn't come up, or they didn't agree.

        """
        if self.nodes:
            self._each(lambda node: node.start())
        else:
            try:
                self._make_nodes()
                self._each(lambda node: node.start())
                self._meet()
            except BaseException:
                self.close()
                raise
        self._await_agreement()

    def stop(self) -> None:
        """End all nodes in good order."""
        self._each(lambda node: node.stop())

    def kill(self) -> None:
        """End all nodes at once (SIGKILL)."""
        self._each(lambda node: node.kill())

    def restart(self) -> None:
        """End all nodes in good order and start them again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze all nodes."""
        self._each(lambda node: node.pause())

    def resume(self) -> None:
        """Let all nodes go on."""
        self._each(lambda node: node.resume())

    def close(self) -> None:
        """End all nodes and remove their data; a second call does nothing."""
        self._each(lambda node: node.close())
        self.nodes = []
        if self._network is not None:
            self._network.close()
            self._network = None

    def primaries(self) -> list[ClusterNode]:
        """Return the nodes that run and are no replicas."""
        return [node for node in self.nodes if node.running() and node.is_primary()]

    def switch_over(self) -> None:
        """Have each replica take over from its primary in good order (CLUSTER FAILOVER)."""
        primaries = self.primaries()
        for replica in [node for node in self.nodes if node not in primaries]:
            wait_until(replica.follows, "the replica follows", timeout=_AGREE)
            followed = replica.primary_port
            former = next(node for node in primaries if node.port == followed)
            self._take_over(replica, former)
            self._await_agreement()

    def _take_over(self, replica: ClusterNode, former: ClusterNode) -> None:
        """Ask a replica to take over until it has, and its former primary follows it.

        Redis 8.2 counts the votes of a replica's last election again where CLUSTER FAILOVER comes
        within twice the node timeout of it: the replica calls itself a primary for a moment, by an
        old epoch, and then follows again who never gave way.
        """
        asked = float("-inf")

        def took_over() -> bool:
            nonlocal asked
            if replica.is_primary():
                return former.follows()
            if time.monotonic() - asked > _MANUAL_SECONDS:
                replica.execute("CLUSTER", "FAILOVER")
                asked = time.monotonic()
            return False

        wait_until(took_over, "a replica has taken over and is followed", timeout=_AGREE)

    def fail_over(self, primary: ClusterNode) -> None:
        """Kill a primary, and wait until a replica has taken over by itself."""
        primary.kill()
        wait_until(
            lambda: len(self.primaries()) == NODES, "a replica has taken over", timeout=_AGREE
        )
        self._await_agreement()

    def bring_back(self, node: ClusterNode) -> None:
        """Start a node that was killed, and wait until it follows who took over from it."""
        node.start()
        wait_until(node.follows, "the node that was away follows", timeout=_AGREE)
        self._await_agreement()

    def _await_agreement(self) -> None:
        wait_until(
            lambda: all(node.agrees(self._count) for node in self.nodes if node.running()),
            "the nodes of the Redis Cluster agree that all slots are served",
            timeout=_AGREE,
        )

    def _each(self, act: Callable[[ClusterNode], None]) -> None:
        for node in self.nodes:
            act(node)

    def _make_nodes(self) -> None:
        flavour = self._flavour
        in_docker = flavour == "docker" or (flavour is None and docker_runs(IMAGE))
        if not in_docker:
            self.nodes = [ClusterNode(flavour, settings=self._settings) for _ in range(self._count)]
            return
        ports = [free_port() for _ in range(self._count)]
        published = [f"--publish={HOST}:{port}:{port}" for port in ports]
        self._network = Container(IMAGE, ["sleep", "infinity"], options=published)
        self._network.start()
        name = self._network.name
        self.nodes = [
            ClusterNode("docker", port=port, network=name, settings=self._settings)
            for port in ports
        ]

    def _meet(self) -> None:
        for number, node in enumerate(self.nodes[:NODES]):
            first, last = number * SLOTS // NODES, (number + 1) * SLOTS // NODES
            # Redis 6.2 doesn't know CLUSTER ADDSLOTSRANGE.
            node.execute("CLUSTER", "ADDSLOTS", *map(str, range(first, last)))
            node.execute("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        # Gossip would spread the news, but takes seconds.
        for node, other in itertools.combinations(self.nodes, 2):
            node.execute("CLUSTER", "MEET", HOST, str(other.port))
        for number, replica in enumerate(self.nodes[NODES:]):
            primary = self.nodes[number % NODES].node_id
            wait_until(
                partial(_replicates, replica, primary),
                "a replica knows its primary",
                timeout=_AGREE,
            )
        wait_until(
            lambda: all(node.follows() for node in self.nodes[NODES:]),
            "the replicas follow",
            timeout=_AGREE,
        )


def _replicates(replica: ClusterNode, primary: str) -> bool:
    """Have it follow a primary; False as long as it doesn't know the other yet."""
    from redis import exceptions

    try:
        replica.execute("CLUSTER", "REPLICATE", primary)
    except exceptions.ResponseError:
        return False
    return True
