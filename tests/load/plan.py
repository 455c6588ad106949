"""What a run of load does: which calls are due when, decided before the first one is made."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BACKENDS = ("sqlite", "postgresql", "redis", "cluster", "hybrid")
SCENARIOS = ("sustained", "spike", "stress")
# Parts of all calls. A claim takes up to four jobs, each of which is then acknowledged.
EVERYTHING: Mapping[str, float] = {
    "retrieve": 0.34,
    "store": 0.18,
    "heartbeat": 0.10,
    "put": 0.10,
    "claim": 0.10,
    "expiring": 0.06,
    "increment": 0.04,
    "transaction": 0.03,
    "search": 0.03,
    "lease": 0.02,
}
CHURN: Mapping[str, float] = {"expiring": 1.0}
_BURST = 6.0
_STEPS = (1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True)
class Phase:
    """Seconds in which calls come at one rate, in calls a second of all processes together."""

    name: str
    seconds: float
    rate: float


class Arrival(NamedTuple):
    """A call: seconds from the beginning at which it is due, its kind, and whose it is."""

    at: float
    kind: str
    agent: int


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        scenario: "sustained", "spike", "stress", "churn" or "soak".
        backend: one of BACKENDS.
        agents: of all processes together.
        processes: each with a memory, and a share of the agents and of the calls.
        phases: one after the other.
        every: seconds between two samples of processes and servers.
        mix: parts of all calls, by kind.
        seed: of the schedule.
    """

    scenario: str
    backend: str
    agents: int
    processes: int
    phases: tuple[Phase, ...]
    every: float = 10.0
    mix: Mapping[str, float] = field(default_factory=lambda: dict(EVERYTHING))
    seed: int = 1

    @property
    def seconds(self) -> float:
        """How long calls come."""
        return sum(phase.seconds for phase in self.phases)

    def starts(self) -> list[float]:
        """Return at which second each phase begins."""
        return [0.0, *accumulate(phase.seconds for phase in self.phases)][:-1]

    def agents_of(self, process: int) -> range:
        """Return the numbers of a process's agents."""
        return range(process, self.agents, self.processes)

    def arrivals(self, process: int) -> Iterator[Arrival]:
        """Yield what a process has to do, in order of the due times; the same for the same seed.

        Each agent's calls come as a Poisson process; those of all agents of a process are one too,
        whose calls each fall to any of them.
        """
        dice = random.Random(f"{self.seed} {process}")
        kinds, agents = list(self.mix), self.agents_of(process)
        weights = list(accumulate(self.mix.values()))
        for start, phase in zip(self.starts(), self.phases, strict=True):
            at, mean = start, phase.rate / self.processes
            while (at := at + dice.expovariate(mean)) < start + phase.seconds:
                [kind] = dice.choices(kinds, cum_weights=weights)
                yield Arrival(at, kind, dice.choice(agents))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Make it from what ``as_json`` returned."""
        made: dict[str, Any] = {"phases": tuple(Phase(**phase) for phase in data["phases"])}
        return cls(**{**data, **made})


def phases_of(scenario: str, rate: float, seconds: float) -> tuple[Phase, ...]:
    """Return the phases of a scenario whose usual rate is ``rate``.

    "spike": six times the rate for a sixth of the time, a third of it in; "stress": a doubled rate
    every fifth of the time.
    """
    if scenario == "spike":
        return (
            Phase("before", seconds / 3, rate),
            Phase("spike", seconds / 6, rate * _BURST),
            Phase("after", seconds / 2, rate),
        )
    if scenario == "stress":
        share = seconds / len(_STEPS)
        return tuple(Phase(f"{times:g}x", share, rate * times) for times in _STEPS)
    return (Phase(scenario, seconds, rate),)
