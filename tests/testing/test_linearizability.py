"""The search for an order finds one exactly where trying all orders does."""

from __future__ import annotations

import itertools
import json
import random
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lionagi_qe.testing.history import NEVER, History, Operation, Promises
from lionagi_qe.testing.history.entry_model import EntryModel
from lionagi_qe.testing.history.linearizability import find_order
from lionagi_qe.testing.history.steps import by_key

if TYPE_CHECKING:
    from lionagi_qe.testing.history.steps import EntryStep

KEY = "aqe/k"
LIMIT = 1_000_000


def steps_of(operations: list[Operation]) -> list[EntryStep]:
    [history] = by_key(History(operations), Promises())
    return history.steps


def any_order(steps: list[EntryStep]) -> bool:
    """Try all orders of all choices of the steps that need not have happened."""
    model = EntryModel()
    required = [step for step in steps if step.required]
    optional = [step for step in steps if not step.required]
    for count in range(len(optional) + 1):
        for chosen in itertools.combinations(optional, count):
            for order in itertools.permutations([*required, *chosen]):
                if any(
                    later.ended < earlier.invoked
                    for at, earlier in enumerate(order)
                    for later in order[at + 1 :]
                ):
                    continue
                state: Any = model.initial()
                for step in order:
                    state = state if state is None else model.apply(state, step)
                if state is not None:
                    return True
    return False


def random_operation(dice: random.Random, number: int) -> Operation:
    """Return a call with a result that may be right or wrong."""
    begin = dice.randrange(8)
    end = float(begin + dice.randrange(5))
    value = f"v{dice.randrange(3)}"
    revision = dice.randrange(1, 6)
    outcome: Any = "info" if dice.random() < 0.3 else "ok"
    conflict = {"key": KEY, "expected": revision, "actual": dice.choice([None, 1, 2, 3])}
    function, arguments, result = dice.choice(
        [
            ("store", {"value": value}, revision),
            ("store", {"value": value, "if_revision": dice.randrange(3)}, revision),
            ("store", {"value": value, "ttl": dice.randrange(1, 4)}, revision),
            ("delete", {}, dice.random() < 0.5),
            ("retrieve", {}, dice.choice([None, value])),
            ("entry", {}, dice.choice([None, {"value": value, "revision": revision}])),
            ("touch", {"ttl": dice.randrange(1, 4)}, dice.random() < 0.5),
            ("conflict", {"value": value, "if_revision": revision}, conflict),
        ]
    )
    if function in {"retrieve", "entry"}:
        outcome = "ok"
    error = ""
    if function == "conflict":
        function, outcome, error = "store", "fail", "RevisionConflictError"
    if outcome == "info":
        result, end = None, NEVER
    return Operation(
        number, "p", function, {"key": KEY, **arguments}, begin, outcome, end, result, error
    )


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_it_agrees_with_trying_all_orders(seed: int, count: int) -> None:
    dice = random.Random(seed)
    steps = steps_of([random_operation(dice, number) for number in range(count)])
    if len(steps) > 6:
        steps = steps[:6]
    assert find_order(EntryModel(), steps, LIMIT).found is any_order(steps)


def test_random_histories_are_right_often_and_wrong_often() -> None:
    """Else the test above would show little."""
    found = {True: 0, False: 0, None: 0}
    for seed in range(200):
        dice = random.Random(seed)
        steps = steps_of([random_operation(dice, number) for number in range(4)])
        found[find_order(EntryModel(), steps, LIMIT).found] += 1
    assert min(found[True], found[False]) > 20


def test_the_order_that_is_found_is_told() -> None:
    operations = [
        Operation(0, "p", "store", {"key": KEY, "value": "a"}, 0, "ok", 9, 1),
        Operation(1, "q", "retrieve", {"key": KEY}, 1, "ok", 2, None),
        Operation(2, "q", "retrieve", {"key": KEY}, 3, "ok", 4, "a"),
    ]
    order = find_order(EntryModel(), steps_of(operations), LIMIT)
    assert order.found
    assert [step.operation.number for step in order.placed] == [1, 0, 2]


def test_many_calls_without_an_answer_cost_little() -> None:
    """Their number alone decides nothing: equal ones are interchangeable, others tried last."""
    unknown = [
        Operation(at, "p", "increment", {"key": KEY, "amount": 1}, at, "info", NEVER)
        for at in range(60)
    ]
    reads = [
        Operation(100 + at, "q", "retrieve", {"key": KEY}, 100 + at, "ok", 100.5 + at, at + 1)
        for at in range(30)
    ]
    steps = steps_of([*unknown, *reads])
    order = find_order(EntryModel(), steps, LIMIT)
    assert order.found
    assert order.searched < 100 * len(steps)


def test_who_is_not_done_within_the_limit_decides_nothing() -> None:
    unknown = [
        Operation(at, "p", "store", {"key": KEY, "value": json.dumps(at)}, 0, "info", NEVER)
        for at in range(30)
    ]
    wrong = [
        Operation(100, "q", "entry", {"key": KEY}, 10, "ok", 11, {"value": "z", "revision": 1})
    ]
    order = find_order(EntryModel(), steps_of([*unknown, *wrong]), 1_000)
    assert order.found is None
