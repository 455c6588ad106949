"""Valid histories: a sequential memory, called by processes whose calls overlap at random.

Each call has a moment between its beginning and its answer at which it takes effect, all at once.
Some are refused, of some no answer comes: those take effect later, or never.
"""

from __future__ import annotations

import heapq
import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.testing.history import NEVER, History, Operation

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

TIMEOUT = 1.0
_REGISTERS = [f"aqe/r/{at}" for at in range(3)]
_COUNTERS = [f"aqe/n/{at}" for at in range(2)]
_BATCHES = ["aqe/b/0", "aqe/b/1", "aqe/b/2"]
_MIXED = "aqe/m/0"
_TTL = 2.0
_LEASE_TTL = 0.5
# How often a call is refused, or has no answer.
_REFUSED, _UNKNOWN = 0.06, 0.06


@dataclass
class _Entry:
    value: Any
    revision: int
    expires: float = NEVER


@dataclass
class Fleet:
    """The memory: what each call does at the moment at which it takes effect."""

    entries: dict[str, _Entry] = field(default_factory=dict)
    revision: int = 0
    changes: list[dict[str, Any]] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    held: dict[str, tuple[int, float]] = field(default_factory=dict)
    claims: int = 0
    lease: tuple[int, float] = (0, 0.0)

    def expire(self, now: float) -> None:
        for key, entry in list(self.entries.items()):
            if entry.expires <= now:
                self._remove(key, "expired")

    def do(self, function: str, arguments: dict[str, Any], now: float) -> tuple[Any, str]:
        """Return the result and the error, if it is refused."""
        self.expire(now)
        fence = arguments.get("fence")
        if fence is not None and (fence["token"] != self.lease[0] or self.lease[1] <= now):
            return "stale", "StaleFenceError"
        act: Callable[..., tuple[Any, str]] = getattr(self, function)
        given = {name: value for name, value in arguments.items() if name != "fence"}
        return act(now=now, **given)

    # Entries

    def store(
        self,
        key: str,
        value: Any,
        now: float,
        if_revision: int | None = None,
        ttl: float | None = None,
    ) -> tuple[Any, str]:
        found = self.entries.get(key)
        actual = None if found is None else found.revision
        if if_revision is not None and (actual or 0) != if_revision:
            return {"key": key, "expected": if_revision, "actual": actual}, "RevisionConflictError"
        self.revision += 1
        self.entries[key] = _Entry(value, self.revision, now + ttl if ttl else NEVER)
        self._change(key, "stored", value)
        return self.revision, ""

    def delete(self, key: str, now: float) -> tuple[Any, str]:
        was_there = key in self.entries
        if was_there:
            self._remove(key, "deleted")
        return was_there, ""

    def increment(self, key: str, amount: int, now: float) -> tuple[Any, str]:
        entry = self.entries.get(key)
        total = (0 if entry is None else entry.value) + amount
        self.store(key, total, now)
        return total, ""

    def retrieve(self, key: str, now: float) -> tuple[Any, str]:
        entry = self.entries.get(key)
        return None if entry is None else entry.value, ""

    def entry(self, key: str, now: float) -> tuple[Any, str]:
        entry = self.entries.get(key)
        told = None if entry is None else {"value": entry.value, "revision": entry.revision}
        return told, ""

    def store_many(self, items: dict[str, Any], now: float) -> tuple[Any, str]:
        return {key: self.store(key, value, now)[0] for key, value in items.items()}, ""

    def retrieve_many(self, keys: list[str], now: float) -> tuple[Any, str]:
        return {key: self.entries[key].value for key in keys if key in self.entries}, ""

    def transaction(self, changes: list[Any], jobs: list[Any], now: float) -> tuple[Any, str]:
        results = {
            change["key"]: self.store(change["key"], change["value"], now)[0] for change in changes
        }
        self.ready += [job["job"] for job in jobs]
        return results, ""

    def _remove(self, key: str, kind: str) -> None:
        del self.entries[key]
        self.revision += 1
        self._change(key, kind, None)

    def _change(self, key: str, kind: str, value: Any) -> None:
        # An earlier change of the key that nobody was told yet is merged into this one.
        self.changes = [each for each in self.changes if each["key"] != key]
        self.changes.append({"key": key, "kind": kind, "revision": self.revision, "value": value})

    # Queue and lease

    def put(self, queue: str, job: str, now: float) -> tuple[Any, str]:
        self.ready.append(job)
        return job, ""

    def claim(self, queue: str, limit: int, lease_ttl: float, now: float) -> tuple[Any, str]:
        for job, (_, ends) in list(self.held.items()):
            if ends <= now:
                del self.held[job]
                self.ready.insert(0, job)
        taken, self.ready = self.ready[:limit], self.ready[limit:]
        self.claims += bool(taken)
        for job in taken:
            self.held[job] = (self.claims, now + lease_ttl)
        return [{"job": job, "claim": self.claims, "attempt": 1} for job in taken], ""

    def ack(self, queue: str, job: str, claim: int, now: float) -> tuple[Any, str]:
        if self.held.get(job, (0, 0))[0] != claim:
            return "lost", "JobLostError"
        del self.held[job]
        return None, ""

    def acquire(self, lease: str, ttl: float, now: float) -> tuple[Any, str]:
        token, ends = self.lease
        if ends > now:
            return None, ""
        self.lease = (token + 1, now + ttl)
        return token + 1, ""

    def release(self, lease: str, token: int, now: float) -> tuple[Any, str]:
        if self.lease[0] != token or self.lease[1] <= now:
            return False, ""
        self.lease = (token, now)
        return True, ""


class Simulation:
    """Processes that call the fleet, one call after the other each."""

    def __init__(self, dice: random.Random, processes: int, calls: int) -> None:
        self._dice = dice
        self._fleet = Fleet()
        self._numbers = itertools.count()
        self._values = itertools.count(1)
        self._operations: list[Operation] = []
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._left = calls
        self._hands: dict[str, list[tuple[str, int]]] = {}
        self._tokens: dict[str, int] = {}
        for at in range(processes):
            self._later(dice.random(), self._caller(f"p{at}"))

    def history(self) -> History:
        self._note("watch", {"watch": "w", "prefix": "aqe/"}, 0.0)
        while self._events:
            moment, _, act = heapq.heappop(self._events)
            act(moment)
        self._settle(moment + 10)
        return History(self._operations)

    def _later(self, moment: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), act))

    def _caller(self, process: str) -> Callable[[float], None]:
        def call(now: float) -> None:
            if self._left <= 0:
                return
            self._left -= 1
            function, arguments = self._choose(process)
            self._run(process, function, arguments, now)

        return call

    def _run(self, process: str, function: str, arguments: dict[str, Any], now: float) -> None:
        dice = self._dice
        effect = now + dice.expovariate(30)
        answered = effect + dice.expovariate(30)
        luck = dice.random()

        def record(
            outcome: Any, result: Any = None, error: str = "", ended: float = answered
        ) -> None:
            self._operations.append(
                Operation(
                    next(self._numbers),
                    process,
                    function,
                    json.loads(json.dumps(arguments)),
                    now,
                    outcome,
                    ended,
                    result,
                    error,
                    TIMEOUT,
                )
            )
            self._later(ended + dice.expovariate(20), self._caller(process))

        def apply(moment: float) -> None:
            result, error = self._fleet.do(function, arguments, moment)
            if not error and function == "claim":
                self._hands.setdefault(process, []).extend(
                    (each["job"], each["claim"]) for each in result
                )
            if not error and function == "acquire" and result:
                self._tokens[process] = result
            record("fail" if error else "ok", result, error)
            self._tell(moment)

        if luck < _REFUSED:
            record("fail", None, "BackendUnavailableError")
        elif luck < _REFUSED + _UNKNOWN:
            record("info", None, "OutcomeUnknownError", now + min(0.5, dice.expovariate(5)))
            if dice.random() < 0.5:
                late = effect + (dice.expovariate(2) if dice.random() < 0.5 else 0)
                self._later(
                    late, lambda moment: (self._fleet.do(function, arguments, moment), None)[1]
                )
        else:
            self._later(effect, apply)

    def _tell(self, moment: float) -> None:
        """Have the watch tell what it wasn't told yet, now and then."""
        if self._dice.random() < 0.5:
            for change in self._fleet.changes:
                self._note("change", {"watch": "w", **change}, moment)
            self._fleet.changes = []

    def _note(
        self, function: str, arguments: dict[str, Any], now: float, result: Any = None
    ) -> None:
        self._operations.append(
            Operation(next(self._numbers), "main", function, arguments, now, "ok", now, result)
        )

    def _value(self) -> str:
        return f"v{next(self._values)}"

    def _choose(self, process: str) -> tuple[str, dict[str, Any]]:
        dice = self._dice
        register = dice.choice(_REGISTERS)
        known = self._fleet.entries.get(register)
        revision = 0 if known is None or dice.random() < 0.3 else known.revision
        hands = self._hands.get(process, [])
        token = self._tokens.get(process, 0)
        fence = {"lease": "l", "token": token}
        job = f"j{next(self._values)}"
        calls: list[tuple[str, dict[str, Any]]] = [
            ("store", {"key": register, "value": self._value()}),
            ("store", {"key": register, "value": self._value(), "if_revision": revision}),
            ("store", {"key": "aqe/t/0", "value": self._value(), "ttl": _TTL}),
            ("store", {"key": _MIXED, "value": next(self._values)}),
            ("delete", {"key": register}),
            ("increment", {"key": dice.choice([*_COUNTERS, _MIXED]), "amount": dice.randint(1, 3)}),
            ("retrieve", {"key": dice.choice([register, *_COUNTERS, _MIXED, "aqe/t/0"])}),
            ("entry", {"key": dice.choice([register, *_BATCHES, "aqe/t/0"])}),
            ("store_many", {"items": dict.fromkeys(_BATCHES, self._value())}),
            ("store_many", {"items": dict.fromkeys([f"aqe/o/{job}/{at}" for at in "ab"], job)}),
            ("retrieve_many", {"keys": _BATCHES}),
            (
                "transaction",
                {
                    "changes": [{"function": "store", "key": f"aqe/x/{job}", "value": job}],
                    "jobs": [{"queue": "q", "job": job}],
                },
            ),
            ("put", {"queue": "q", "job": job}),
            ("claim", {"queue": "q", "limit": 2, "lease_ttl": _LEASE_TTL}),
            ("acquire", {"lease": "l", "ttl": _LEASE_TTL}),
            ("store", {"key": "aqe/f/0", "value": self._value(), "fence": fence}),
            ("release", {"lease": "l", "token": token}),
        ]
        if hands and dice.random() < 0.4:
            name, claim = hands.pop(0)
            return "ack", {"queue": "q", "job": name, "claim": claim}
        return dice.choice(calls)

    def _settle(self, now: float) -> None:
        """Do all jobs that are left, let the watch tell the rest, and read all entries."""

        def certain(function: str, arguments: dict[str, Any], now: float) -> Any:
            result, error = self._fleet.do(function, arguments, now)
            assert not error
            self._operations.append(
                Operation(
                    next(self._numbers),
                    "main",
                    function,
                    arguments,
                    now - 0.001,
                    "ok",
                    now + 0.001,
                    result,
                    "",
                    TIMEOUT,
                )
            )
            return result

        arguments = {"queue": "q", "limit": 100, "lease_ttl": _LEASE_TTL}
        for claimed in certain("claim", arguments, now):
            ack = {"queue": "q", "job": claimed["job"], "claim": claimed["claim"]}
            certain("ack", ack, now + 0.1)
        self._fleet.expire(now + 1)
        for change in self._fleet.changes:
            self._note("change", {"watch": "w", **change}, now + 1)
        keys = {
            key
            for each in self._operations
            for key in [each.arguments.get("key", ""), *each.arguments.get("items", ())]
            if key
        }
        for key in sorted(keys):
            certain("entry", {"key": key}, now + 2)
        self._note("watch_end", {"watch": "w"}, now + 3)
        self._note("drained", {"queue": "q"}, now + 3, {"dead": []})


def valid_history(dice: random.Random, processes: int = 4, calls: int = 120) -> History:
    return Simulation(dice, processes, calls).history()
