"""What a seed means: which faults begin when, for how long, and what the clients do meanwhile."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, replace
from typing import Any

# What is done to the connection between clients and the server.
_NETWORK = ("latency", "blackhole", "answers lost", "reset", "refuse", "half-open", "slow drip")
_SERVER = ("kill", "stop", "connections used up", "connections closed")
_CLIENTS = ("kill client", "stop client", "kill watcher", "stop watcher")
# The processes of one SQLite file share a machine, and so its clock.
CLOCK_JUMP = "clock jump"
_REMOTE = (*_CLIENTS, CLOCK_JUMP)
# Needs a disk of its own, and so a mount (tests.chaos.small_disk).
DISK_FULL = "disk full"
SLOTS_MOVE = "slots move"
FAULTS: dict[str, dict[str, tuple[str, ...]]] = {
    "sqlite": {"server": ("locked", "locked", DISK_FULL), "clients": _CLIENTS},
    "postgresql": {"server": (*_NETWORK, *_SERVER, DISK_FULL), "clients": _REMOTE},
    "pgbouncer": {
        "server": ("kill", "stop", "connections used up", "connections closed"),
        "pooler": (*_NETWORK, "kill", "stop"),
        "clients": _REMOTE,
    },
    "redis": {"server": (*_NETWORK, *_SERVER, "full"), "clients": _REMOTE},
    "cluster": {
        "server": (*_NETWORK, *_SERVER, "full", SLOTS_MOVE, SLOTS_MOVE),
        "clients": _REMOTE,
    },
    "hybrid": {
        "server": (*_NETWORK, *_SERVER),
        "cache": (*_NETWORK, *_SERVER, "full", "flush"),
        "clients": _REMOTE,
    },
    "postgresql-pair": {"server": ("switch-over", "crash"), "clients": _REMOTE},
    "sentinel": {"server": ("switch-over", "crash"), "clients": _REMOTE},
    "cluster-pairs": {"server": ("switch-over", "crash"), "clients": _REMOTE},
}
BACKENDS = tuple(FAULTS)
LOADS = (
    "registers",
    "chain",
    "counters",
    "batches",
    "transactions",
    "expiring",
    "lease",
    "queue",
    "presence",
    "copies",
)
# Longer than the leases of the load.
_LONGEST, _SHORTEST = 2.0, 0.1
CLOCKS_OFF = (-86_400, -90, -3, 5, 120, 7_200)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: ``begins`` seconds after the load did, for ``lasts`` seconds.

    ``choice`` picks which of several (clients, nodes) it hits.
    """

    kind: str
    target: str
    begins: float
    lasts: float
    choice: int

    def __str__(self) -> str:
        end = f"for {self.lasts:.2f} s" if self.lasts else ""
        return f"{self.begins:6.2f} s  {self.target:<8} {self.kind:<20} {end} ({self.choice})"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a seed decides.

    Attributes:
        seed: what it was drawn from.
        backend: on what it runs.
        seconds: how long the load lasts.
        clocks: for each client process, by how many seconds its clock is off.
        weights: how many tasks of each load a client runs.
        faults: in the order of their beginnings.
    """

    seed: int
    backend: str
    seconds: float
    clocks: tuple[int, ...]
    weights: dict[str, int]
    faults: tuple[Fault, ...]

    @classmethod
    def draw(cls, seed: int, backend: str, seconds: float) -> Plan:
        """Draw the plan of a seed; the same for the same arguments."""
        dice = random.Random(f"{backend} {seed} {seconds}")
        clients = dice.randint(2, 4)
        odds = 0.3 if CLOCK_JUMP in FAULTS[backend]["clients"] else 0.0
        clocks = tuple(
            dice.choice(CLOCKS_OFF) if dice.random() < odds else 0 for _ in range(clients)
        )
        weights = {load: dice.choice((0, 1, 1, 1, 2)) for load in LOADS}
        faults = [
            fault
            for target, kinds in FAULTS[backend].items()
            for fault in _track(dice, target, kinds, seconds)
        ]
        faults.sort(key=lambda fault: fault.begins)
        return cls(seed, backend, seconds, clocks, weights, tuple(faults))

    def __str__(self) -> str:
        loads = ", ".join(f"{count} {name}" for name, count in self.weights.items() if count)
        head = (
            f"seed {self.seed} on {self.backend}: {self.seconds:g} s, "
            f"{len(self.clocks)} clients, clocks off by {list(self.clocks)} s"
        )
        return "\n".join([head, f"loads: {loads}", *map(str, self.faults)])

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def has(self, kind: str) -> bool:
        return any(fault.kind == kind for fault in self.faults)

    def without(self, kind: str) -> Plan:
        """Return this plan without faults of a kind."""
        return replace(self, faults=tuple(each for each in self.faults if each.kind != kind))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        told: dict[str, Any] = json.loads(text)
        faults = tuple(Fault(**fault) for fault in told.pop("faults"))
        return cls(**{**told, "clocks": tuple(told["clocks"])}, faults=faults)


def _track(dice: random.Random, target: str, kinds: tuple[str, ...], seconds: float) -> list[Fault]:
    """Draw the faults of one target, one after the other."""
    faults: list[Fault] = []
    now = dice.uniform(0.2, 1.2)
    while now < seconds:
        kind = dice.choice(kinds)
        lasts = round(dice.choice((dice.uniform(_SHORTEST, 0.6), dice.uniform(0.6, _LONGEST))), 2)
        faults.append(Fault(kind, target, round(now, 2), lasts, dice.randrange(1000)))
        now += lasts + dice.uniform(0.1, 1.5)
    return faults
