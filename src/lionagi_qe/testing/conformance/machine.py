"""A Hypothesis state machine that compares a memory with a plain dict.

Model-based testing as in Hypothesis's stateful module: random sequences of calls, also many at
once, expiry and several handles included; every answer must be the dict's, revisions must grow,
and all ways to look must agree after each step.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from lionagi_qe.errors import InvalidValueError, RevisionConflictError
from lionagi_qe.testing.conformance.base import Conformance, Connect, erase, expire
from lionagi_qe.testing.strategies import globs, json_values, keys, matches, partitions

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from lionagi_qe.persistence import Memory

_POOL = st.sampled_from(["aqe/a", "aqe/a/b", "aqe/ab", "aqe/b", "aqe/b/%", "aqe/é/1"])
KEYS = _POOL | keys()
VALUES = st.integers(-3, 3) | json_values()


@dataclass
class _Entry:
    value: Any
    revision: int
    partition: str
    expires: bool


@dataclass(frozen=True)
class _Step:
    """One call of a burst: what to call and with what."""

    kind: str
    key: str
    value: Any = None


_STEPS = st.one_of(
    st.builds(_Step, st.just("store"), _POOL, VALUES),
    st.builds(_Step, st.just("increment"), _POOL, st.integers(-5, 5)),
    st.builds(_Step, st.just("delete"), _POOL),
    st.builds(_Step, st.just("retrieve"), _POOL),
    st.builds(_Step, st.just("create"), _POOL, VALUES),
)


class MemoryMachine(RuleBasedStateMachine):
    """Calls on one or two handles of a fleet, beside a dict that should hold the same."""

    connect: Connect
    shared: bool

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model: dict[str, _Entry] = {}
        self.newest: dict[str, int] = {}
        fleet = f"machine-{uuid.uuid4().hex[:16]}"
        count = 2 if self.shared else 1
        self.handles = [self.connect(fleet=fleet, cleanup_interval=None) for _ in range(count)]
        for handle in self.handles:
            self.run(handle.open())

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Wait for a call on the machine's own event loop."""
        return self.loop.run_until_complete(call)

    def teardown(self) -> None:
        """Leave nothing behind."""
        try:
            self.run(erase(self.handles[0]))
        finally:
            for handle in self.handles:
                self.run(handle.close())
            self.loop.close()

    def memory(self, which: int) -> Memory:
        """Return one of the handles."""
        return self.handles[which % len(self.handles)]

    # What a change does to the dict

    def stored(self, key: str, value: Any, revision: int, partition: str, *, expires: bool) -> None:
        """Note a store; its revision must be the key's greatest so far."""
        assert revision > self.newest.get(key, 0), (key, revision, self.newest.get(key))
        self.newest[key] = revision
        self.model[key] = _Entry(value, revision, partition, expires)

    def changed(self, key: str, value: Any) -> None:
        """Note a change whose revision the call did not tell."""
        entry = self.run(self.handles[0].entry(key))
        before = self.model.get(key)
        partition, expires = (before.partition, before.expires) if before else ("default", False)
        self.stored(key, value, entry.revision, partition, expires=expires)

    # Rules

    @rule(
        which=st.integers(0, 1), key=KEYS, value=VALUES, partition=partitions(), long=st.booleans()
    )
    def store(self, which: int, key: str, value: Any, partition: str, *, long: bool) -> None:
        """Store, with a long TTL or none."""
        call = self.memory(which).store(key, value, ttl=1000 if long else None, partition=partition)
        self.stored(key, value, self.run(call), partition, expires=long)

    @rule(which=st.integers(0, 1), key=KEYS, value=VALUES)
    def store_and_wait_until_it_expires(self, which: int, key: str, value: Any) -> None:
        """Leave an expired entry that nobody has cleaned up."""
        revision = self.run(self.memory(which).store(key, value, ttl=0.001))
        self.stored(key, value, revision, "default", expires=True)
        self.run(expire(self.memory(which), key, ttl=0.002))
        del self.model[key]

    @rule(which=st.integers(0, 1), key=KEYS, value=VALUES, guess=st.integers(0, 2))
    def compare_and_set(self, which: int, key: str, value: Any, guess: int) -> None:
        """Expect the right revision, none, or a wrong one."""
        entry = self.model.get(key)
        actual = entry.revision if entry else None
        expected = [actual or 0, 0, (self.newest.get(key) or 0) + 1_000_000][guess]
        call = self.memory(which).store(key, value, if_revision=expected)
        if expected == (actual or 0):
            self.stored(key, value, self.run(call), "default", expires=False)
        else:
            with pytest.raises(RevisionConflictError) as caught:
                self.run(call)
            assert caught.value.actual == actual

    @rule(which=st.integers(0, 1), key=KEYS)
    def delete(self, which: int, key: str) -> None:
        """Delete."""
        assert self.run(self.memory(which).delete(key)) is (self.model.pop(key, None) is not None)

    @rule(which=st.integers(0, 1), key=KEYS, long=st.booleans())
    def touch(self, which: int, key: str, *, long: bool) -> None:
        """Give an entry a long TTL, or none."""
        found = self.run(self.memory(which).touch(key, 1000 if long else None))
        assert found is (key in self.model)
        if found:
            self.model[key].expires = long

    @rule(which=st.integers(0, 1), key=KEYS, amount=st.integers(-10, 10) | st.floats(-10, 10))
    def increment(self, which: int, key: str, amount: float) -> None:
        """Add to a number; anything else is refused."""
        before = self.model[key].value if key in self.model else 0
        try:
            total = self.run(self.memory(which).increment(key, amount))
        except InvalidValueError:
            assert not _is_number(before) or not -(2**63) <= before + amount < 2**63
        else:
            assert _is_number(before)
            assert total == before + amount
            assert type(total) is type(before + amount)
            self.changed(key, total)

    @rule(which=st.integers(0, 1), key=KEYS, value=VALUES)
    def update(self, which: int, key: str, value: Any) -> None:
        """Replace the value by one made of it."""
        before = self.model[key].value if key in self.model else "default"
        new = [value, before] if len(repr(before)) < 100 else value
        answer = self.run(
            self.memory(which).update(
                key,
                lambda old: [value, old] if len(repr(old)) < 100 else value,
                default="default",
            )
        )
        assert answer == new
        self.changed(key, new)

    @rule(
        which=st.integers(0, 1),
        values=st.dictionaries(KEYS, VALUES, max_size=5),
        partition=partitions(),
    )
    def store_many(self, which: int, values: dict[str, Any], partition: str) -> None:
        """Store a batch."""
        revisions = self.run(self.memory(which).store_many(values, partition=partition))
        assert revisions.keys() == values.keys()
        for key, revision in revisions.items():
            self.stored(key, values[key], revision, partition, expires=False)

    @rule(which=st.integers(0, 1), wanted=st.lists(KEYS, max_size=5))
    def delete_many(self, which: int, wanted: list[str]) -> None:
        """Delete a batch."""
        deleted = self.run(self.memory(which).delete_many(wanted))
        assert deleted == sum(self.model.pop(key, None) is not None for key in set(wanted))

    @rule(which=st.integers(0, 1), partition=partitions())
    def clear_partition(self, which: int, partition: str) -> None:
        """Clear a partition."""
        cleared = {key for key, entry in self.model.items() if entry.partition == partition}
        assert self.run(self.memory(which).clear_partition(partition)) == len(cleared)
        for key in cleared:
            del self.model[key]

    @rule(which=st.integers(0, 1))
    def cleanup_expired(self, which: int) -> None:
        """Clean up; nothing alive may go."""
        self.run(self.memory(which).cleanup_expired())

    @rule(which=st.integers(0, 1), pattern=globs(), limit=st.none() | st.integers(1, 3))
    def search(self, which: int, pattern: str, limit: int | None) -> None:
        """Search by a random pattern; a plain reference matcher tells what should be found."""
        found = self.run(self.memory(which).search(pattern, limit=limit))
        expected = [key for key in sorted(self.model) if matches(pattern, key)][:limit]
        assert list(found) == expected
        assert found == {key: self.model[key].value for key in expected}

    @rule(which=st.integers(0, 1), prefix=st.sampled_from(["", "aqe/a", "aqe/b/"]) | KEYS)
    def look_by_prefix(self, which: int, prefix: str) -> None:
        """List and scan."""
        expected = sorted(key for key in self.model if key.startswith(prefix))
        assert self.run(self.memory(which).list_keys(prefix)) == expected
        found = self.run(_scan(self.memory(which), prefix))
        assert [entry.key for entry in found] == expected
        for entry in found:
            self.agrees(entry.key, entry)

    @rule(which=st.integers(0, 1), steps=st.lists(_STEPS, min_size=2, max_size=12))
    def burst(self, which: int, steps: list[_Step]) -> None:
        """Make several calls at once: for each key, as if one after another."""
        answers = self.run(_burst(self.memory(which), steps))
        for step, answer in zip(steps, answers, strict=True):
            self.check_step(step, answer)

    def check_step(self, step: _Step, answer: Any) -> None:
        """Apply one call of a burst to the dict and compare."""
        entry = self.model.get(step.key)
        if step.kind == "store" or (step.kind == "create" and entry is None):
            self.stored(step.key, step.value, answer, "default", expires=False)
        elif step.kind == "create":
            assert isinstance(answer, RevisionConflictError)
            assert entry is not None
            # Zero stands for a revision that an increment of this burst did not tell.
            assert entry.revision in {0, answer.actual}
        elif step.kind == "delete":
            assert answer is (self.model.pop(step.key, None) is not None)
        elif step.kind == "retrieve":
            assert answer == (entry.value if entry else None)
        elif entry is not None and not _is_number(entry.value):
            assert isinstance(answer, InvalidValueError)
        elif not isinstance(answer, InvalidValueError):
            assert answer == (entry.value if entry else 0) + step.value
            before = entry or _Entry(0, 0, "default", expires=False)
            self.model[step.key] = _Entry(answer, 0, before.partition, before.expires)

    # What must hold after every step

    def agrees(self, key: str, entry: Any) -> None:
        """Compare an entry of the memory with the dict's."""
        expected = self.model[key]
        assert repr(entry.value) == repr(expected.value) or entry.value == expected.value
        assert entry.partition == expected.partition
        assert (entry.expires_at is not None) == expected.expires
        if expected.revision == 0:
            assert entry.revision > self.newest.get(key, 0)
            expected.revision = self.newest[key] = entry.revision
        assert entry.revision == expected.revision

    @invariant()
    def every_way_to_look_agrees(self) -> None:
        """Keys, entries and statistics tell of the same entries."""
        first = self.handles[0]
        assert self.run(first.list_keys()) == sorted(self.model)
        for entry in self.run(_scan(self.handles[-1], "")):
            self.agrees(entry.key, entry)
        stats = self.run(first.get_stats())
        assert stats["total_keys"] == len(self.model)
        counts: dict[str, int] = {}
        for entry in self.model.values():
            counts[entry.partition] = counts.get(entry.partition, 0) + 1
        assert stats["partitions"] == counts


async def _scan(memory: Memory, prefix: str) -> list[Any]:
    return [entry async for entry in memory.scan(prefix, page_size=3)]


async def _burst(memory: Memory, steps: list[_Step]) -> list[Any]:
    def call(step: _Step) -> Coroutine[Any, Any, Any]:
        match step.kind:
            case "store":
                return memory.store(step.key, step.value)
            case "create":
                return memory.store(step.key, step.value, if_revision=0)
            case "increment":
                return memory.increment(step.key, step.value)
            case "delete":
                return memory.delete(step.key)
            case _:
                return memory.retrieve(step.key)

    answers = await asyncio.gather(*map(call, steps), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(
            answer, RevisionConflictError | InvalidValueError
        ):
            raise answer
    return list(answers)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class MachineConformance(Conformance):
    """Runs the state machine.

    Attributes:
        machine_examples: how many random sequences to try.
        machine_steps: how many steps each has at most.
        machine_shrinks: look for the shortest sequence that fails, which can take a minute.
    """

    machine_examples = 30
    machine_steps = 30
    machine_shrinks = True

    async def test_random_calls_behave_like_a_dict(self, connect: Connect) -> None:
        machine = type(
            "BoundMachine",
            (MemoryMachine,),
            {"connect": staticmethod(connect), "shared": self.shared},
        )
        # In a thread, where the machine's own event loop can run.
        await asyncio.to_thread(
            run_state_machine_as_test,
            machine,
            settings=settings(
                max_examples=self.machine_examples,
                stateful_step_count=self.machine_steps,
                deadline=None,
                database=None,
                phases=[Phase.generate, *([Phase.shrink] if self.machine_shrinks else [])],
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
