"""A Redis Cluster of our own."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Self

from lionagi_qe.testing.servers.ports import HOST, free_port, wait_until
from lionagi_qe.testing.servers.redis import IMAGE, RedisServer
from lionagi_qe.testing.servers.runner import Container, docker_works

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from lionagi_qe.testing.servers.binaries import Flavour

SLOTS = 16_384
NODES = 3
_NODE_TIMEOUT_MS = 2_000
_AGREE = 60.0


class ClusterNode(RedisServer):
    """One node: a RedisServer in cluster mode.

    Args:
        flavour: see RedisServer.
        port: the port to take; None picks a free one.
        network: the container whose network the node joins, under Docker.

    """

    def __init__(
        self, flavour: Flavour | None = None, *, port: int | None = None, network: str | None = None
    ) -> None:
        super().__init__(
            flavour,
            settings={
                "databases": "1",
                "cluster-enabled": "yes",
                "cluster-announce-ip": HOST,
                "cluster-node-timeout": str(_NODE_TIMEOUT_MS),
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

    def _choose_port(self) -> int:
        return self._wanted or free_port()

    def _network(self, port: int) -> list[str]:
        return [f"--network=container:{self._joined}"] if self._joined else super()._network(port)


class RedisCluster:
    """Three Redis servers in cluster mode that share all 16,384 slots; no replicas.

    ``start``, ``stop``, ``kill``, ``pause`` and the rest mean all nodes; ``nodes`` has each.
    Under Docker the nodes share the network of one container, so that the addresses by which they
    know each other are also those by which clients on this machine reach them.

    Args:
        flavour: see RedisServer.

    """

    def __init__(self, flavour: Flavour | None = None) -> None:
        self._flavour: Flavour | None = flavour
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
        wait_until(
            lambda: all(node.agrees(NODES) for node in self.nodes),
            "the nodes of the Redis Cluster agree that all slots are served",
            timeout=_AGREE,
        )

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

    def _each(self, act: Callable[[ClusterNode], None]) -> None:
        for node in self.nodes:
            act(node)

    def _make_nodes(self) -> None:
        flavour = self._flavour
        in_docker = flavour == "docker" or (flavour is None and docker_works())
        if not in_docker:
            self.nodes = [ClusterNode(flavour) for _ in range(NODES)]
            return
        ports = [free_port() for _ in range(NODES)]
        published = [f"--publish={HOST}:{port}:{port}" for port in ports]
        self._network = Container(IMAGE, ["sleep", "infinity"], options=published)
        self._network.start()
        name = self._network.name
        self.nodes = [ClusterNode("docker", port=port, network=name) for port in ports]

    def _meet(self) -> None:
        for number, node in enumerate(self.nodes):
            first, last = number * SLOTS // NODES, (number + 1) * SLOTS // NODES
            # Redis 6.2 doesn't know CLUSTER ADDSLOTSRANGE.
            node.execute("CLUSTER", "ADDSLOTS", *map(str, range(first, last)))
            node.execute("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        # Gossip would spread the news, but takes seconds.
        for node, other in itertools.combinations(self.nodes, 2):
            node.execute("CLUSTER", "MEET", HOST, str(other.port))
