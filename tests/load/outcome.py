"""What a run came to: figures, curves and verdicts, as JSON data that pages are written from."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from tests.load import verdicts
from tests.load.samples import NOT_BEGUN, done_over_time, over_time, percentile, summary
from tests.load.verdicts import Verdict

from lionagi_qe.bench.machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.load.plan import Plan
    from tests.load.run import Run
    from tests.load.samples import Samples

# What clients or agents do by themselves, beside the calls of the schedule.
UNSCHEDULED = ("ack", "job", "watch")
# Points of a curve: a picture shows no more.
_POINTS, _KIND_POINTS = 300, 60
# A step of rates holds while nearly all of its calls are done in it, and hardly one waits longer.
_HELD_SHARE, _HELD_SECONDS = 0.97, 1.0
# After a spike, latencies are what they were once they are within this of what they were.
_RECOVERED_TIMES, _RECOVERED_MORE = 2.0, 0.02
_MOST_RECOVERY = 10.0
_LONGEST_TRANSACTION = 10.0
# What a figure of a server's may be above what it was, however little that was.
_LEVELS = {
    "connections": 2.0,
    "keys": 500.0,
    "size": 2.0,
    "size of scripts": 1.0,
    "memory of its processes": 10.0,
}
_PEAKS = {"dead rows": 10_000.0, "write-ahead log": 8.0}


@dataclass
class Outcome:
    """What one run came to; JSON data.

    Attributes:
        plan: as JSON.
        versions: of the servers.
        machine: what ``aqe bench`` tells of it, with the date and the command.
        calls: number and percentiles in ms, of all calls of the schedule and of each kind.
        errors: by kind and by what was raised.
        delay: p50, p99 and max of how late the generator itself began calls, in ms.
        phases: what was offered and done in each.
        verdicts: what was judged.
        complaints: of processes.
        curves: over time: ``all`` calls, ``kinds``, ``clients``, ``server``, ``processors``.
    """

    plan: dict[str, Any]
    versions: str
    machine: dict[str, Any]
    calls: dict[str, dict[str, float]]
    errors: dict[str, dict[str, int]]
    delay: dict[str, float]
    phases: list[dict[str, Any]]
    verdicts: list[Verdict]
    complaints: list[str]
    curves: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.plan['backend']}-{self.plan['scenario']}"

    @property
    def size(self) -> str:
        """How large it was, in words."""
        rate = max(phase["rate"] for phase in self.plan["phases"])
        seconds = sum(phase["seconds"] for phase in self.plan["phases"])
        return (
            f"{self.plan['agents']:,} agents, {self.plan['processes']} processes, up to "
            f"{rate:,.0f} calls/s, {seconds:,.0f} s"
        )

    @property
    def command(self) -> str:
        """What does the same again."""
        plan = self.plan
        seconds = sum(phase["seconds"] for phase in plan["phases"])
        rest = (
            f"BACKEND={plan['backend']} AGENTS={plan['agents']} PROCESSES={plan['processes']} "
            f"RATE={plan['phases'][0]['rate']:g}"
        )
        if plan["scenario"] == "soak":
            return f"make soak MINUTES={seconds / 60:g} {rest}"
        return f"make load SCENARIO={plan['scenario']} LOAD_SECONDS={seconds:g} {rest}"

    @property
    def busy(self) -> str:
        """What else the machine did, in words."""
        others = self.curves["processors"].get("others", ())
        mean = sum(others) / len(others) if others else float("nan")
        return f"{mean:.2f} processors were used by others meanwhile"

    @property
    def failed(self) -> bool:
        """Whether something did not hold."""
        return bool(self.complaints) or not all(verdict.passed for verdict in self.verdicts)

    def write(self, path: Path) -> None:
        """Write it; what has no end (a call without an answer) is null there."""
        path.write_text(json.dumps(_plain(asdict(self))) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``write`` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        endless = {"found": math.inf, "most": math.inf}
        given = [
            Verdict(**{name: endless.get(name) if value is None else value for name, value in each})
            for each in (verdict.items() for verdict in data["verdicts"])
        ]
        return cls(**{**data, "verdicts": given})


def _plain(value: Any) -> Any:
    """Return JSON data, numbers of four figures: files of many curves go into the repository."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value


def outcome_of(plan: Plan, run: Run, versions: str) -> Outcome:
    """Sum a run up, and judge it by its scenario."""
    scheduled = run.samples.where(~np.isin(run.samples.kind, UNSCHEDULED))
    late = scheduled.where(scheduled.outcome != NOT_BEGUN).delay * 1000
    phases = _phases(plan, scheduled)
    # A rate too high for the machine is what "stress" looks for.
    counted = (
        scheduled.between(0, plan.phases[0].seconds) if plan.scenario == "stress" else scheduled
    )
    judged = [_failures(counted), *_of_scenario(plan, run, scheduled, phases)]
    return Outcome(
        plan.as_json(),
        versions,
        describe_machine(),
        {
            "all": summary(scheduled),
            **{kind: summary(run.samples.of_kind(kind)) for kind in run.samples.kinds()},
        },
        run.samples.errors(),
        {"p50": percentile(late, 50), "p99": percentile(late, 99), "max": percentile(late, 100)},
        phases,
        judged,
        run.complaints,
        _curves(plan, run, scheduled),
    )


def _failures(scheduled: Samples) -> Verdict:
    failed = len(scheduled) - len(scheduled.answered())
    return Verdict("calls that failed", failed, 0, "")


def _of_scenario(
    plan: Plan, run: Run, scheduled: Samples, phases: Sequence[Mapping[str, Any]]
) -> list[Verdict]:
    match plan.scenario:
        case "spike":
            return [_recovery(plan, scheduled)]
        case "stress":
            held = [phase["rate"] for phase in phases if phase["held"]]
            return [Verdict("first rate, beside the highest that held", phases[0]["rate"], max(
                held, default=0.0), "calls/s")]  # fmt: skip
        case "churn":
            return judge_server(plan, run.server)
        case "soak":
            return [
                *verdicts.lasting_p99(run.samples, plan.seconds, UNSCHEDULED, run.machine),
                *judge_clients(plan, run.clients),
                *judge_server(plan, run.server),
            ]
        case _:
            return []


def _phases(plan: Plan, scheduled: Samples) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    ends = [*plan.starts()[1:], plan.seconds]
    for phase, start, end in zip(plan.phases, plan.starts(), ends, strict=True):
        own = scheduled.between(start, end)
        answered = own.answered()
        in_time = int(np.count_nonzero(answered.due + answered.latency < end + _HELD_SECONDS))
        figures = summary(own)
        share = in_time / len(own) if len(own) else 0.0
        told.append({
            "name": phase.name,
            "seconds": phase.seconds,
            "rate": phase.rate,
            "offered": len(own) / phase.seconds,
            "done": in_time / phase.seconds,
            "p50": figures["p50"],
            "p99": figures["p99"],
            "not begun": int(np.count_nonzero(own.outcome == NOT_BEGUN)),
            "held": share >= _HELD_SHARE and figures["p99"] <= _HELD_SECONDS * 1000,
        })  # fmt: skip
    return told


def _recovery(plan: Plan, scheduled: Samples) -> Verdict:
    """Judge how many seconds after the spike the p99 of a second is what it was before."""
    _, spike, after = plan.starts()
    before = percentile(scheduled.between(0, spike).waits(), 99)
    enough = before * _RECOVERED_TIMES + _RECOVERED_MORE
    second = after
    while second < plan.seconds:
        found = scheduled.between(second, second + 1).waits()
        if percentile(found, 99) <= enough:
            break
        second += 1
    return Verdict("time after the spike until latencies are as before", second - after,
                   _MOST_RECOVERY, "s")  # fmt: skip


# What should stay as it is


def warm_up(plan: Plan) -> float:
    """Return after how many seconds a process should hold what it will hold."""
    return min(300.0, plan.seconds / 3)


def settled(plan: Plan) -> float:
    """Return after how many seconds a store should hold what it will hold.

    Tombstones and changes are kept for five minutes, and cleared away every minute.
    """
    return min(480.0, plan.seconds / 2)


def judge_clients(
    plan: Plan, clients: Mapping[int, Mapping[str, Sequence[float]]]
) -> list[Verdict]:
    """Judge what the processes hold: of each figure the one that did worst."""
    since = warm_up(plan)
    found: list[list[Verdict]] = [[], [], [], []]
    for number, held in clients.items():
        chosen = [place for place, at in enumerate(held["at"]) if at >= since]
        at, rss, files, tasks, threads = (
            [held[name][place] for place in chosen]
            for name in ("at", "rss", "files", "tasks", "threads")
        )
        found[0].append(verdicts.growth(f"memory (RSS) of process {number}", at, rss))
        for place, (name, values) in enumerate(
            (("open files", files), ("tasks", tasks), ("threads", threads)), 1
        ):
            found[place].append(verdicts.level(f"{name} of process {number}", values, slack=2))
    return [max(each, key=_badness) for each in found if each]


def _badness(verdict: Verdict) -> float:
    over = verdict.found - verdict.most
    return over if math.isfinite(over) else -math.inf


def judge_server(plan: Plan, server: Mapping[str, Sequence[float]]) -> list[Verdict]:
    """Judge what the servers and their stores hold."""
    since = settled(plan)
    chosen = [place for place, at in enumerate(server["at"]) if at >= since]
    judged: list[Verdict] = []
    for name, values in server.items():
        plain = name.rpartition(": ")[2]
        own = [values[place] for place in chosen]
        if plain in _LEVELS:
            unit = "MiB" if plain.startswith(("size", "memory")) else ""
            judged.append(verdicts.level(name, own, slack=_LEVELS[plain], unit=unit))
        elif plain in _PEAKS:
            unit = "rows" if "rows" in plain else "MiB"
            judged.append(verdicts.peak(name, own, slack=_PEAKS[plain], unit=unit))
        elif plain == "oldest transaction, s":
            judged.append(Verdict("oldest transaction", max(values), _LONGEST_TRANSACTION, "s"))
    return judged


def _curves(plan: Plan, run: Run, scheduled: Samples) -> dict[str, Any]:
    width = max(1.0, plan.seconds / _POINTS)
    whole = over_time(scheduled, plan.seconds, (50, 99, 100), width)
    rough = max(1.0, plan.seconds / _KIND_POINTS)
    return {
        "all": {**whole, "done": done_over_time(scheduled, plan.seconds, width)},
        "kinds": {
            kind: over_time(run.samples.of_kind(kind), plan.seconds, (99,), rough)
            for kind in run.samples.kinds()
        },
        "percentiles": {
            kind: _by_percentile(run.samples.of_kind(kind)) for kind in run.samples.kinds()
        },
        "clients": {str(number): held for number, held in run.clients.items()},
        "server": run.server,
        "processors": run.machine,
    }


def _by_percentile(samples: Samples) -> dict[str, list[float]]:
    """Return latencies by percentile, as far as there are calls: of two nines, the 99th."""
    waits = np.sort(samples.waits())
    nines = [0.0]
    while 10 ** nines[-1] < len(waits):
        nines.append(nines[-1] + 0.125)
    return {
        "nines": nines,
        "ms": [percentile(waits, 100 * (1 - 10**-each)) * 1000 for each in nines],
    }
