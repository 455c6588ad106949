"""How workers divide mutants: each to one of them, evenly, and few tests to several of them."""

from __future__ import annotations

import pytest

from lionagi_qe.agents.base import Share
from lionagi_qe.agents.mutation.operators import mutants_of
from lionagi_qe.agents.mutation.runner import Candidate
from lionagi_qe.agents.mutation.sharding import share_of

FUNCTION = """
def mix_{number}(values):
    total = {number}
    for value in values:
        if value % 3 == 1:
            total = total + value * 2
        total ^= value
    return total
"""


def candidates_of(functions: int, changed: int = 0) -> list[Candidate]:
    """Return the mutants of functions with a test each, those of the first ``changed`` first."""
    text = "".join(FUNCTION.format(number=at) for at in range(functions))
    found: list[Candidate] = []
    for mutant in mutants_of("work.py", text):
        number = int(mutant.function.removeprefix("mix_"))
        found.append(Candidate(mutant, (f"test_{number}",), number < changed))
    return sorted(found, key=lambda each: (not each.changed, each.mutant.rank))


def took_of(candidates: list[Candidate], seconds: float = 0.2) -> dict[str, float]:
    return {test: seconds for each in candidates for test in each.tests}


def shares_of(candidates: list[Candidate], of: int) -> list[list[Candidate]]:
    took = took_of(candidates)
    return [share_of(candidates, took, Share(part, of)) for part in range(of)]


@pytest.mark.parametrize("changed", [0, 2, 12])
@pytest.mark.parametrize("of", [1, 2, 3, 20])
def test_every_mutant_is_in_one_share_in_the_order_of_all(of: int, changed: int) -> None:
    candidates = candidates_of(12, changed)
    places = {each.mutant.rank: place for place, each in enumerate(candidates)}
    shares = [[places[each.mutant.rank] for each in share] for share in shares_of(candidates, of)]
    assert sorted(place for share in shares for place in share) == list(range(len(candidates)))
    assert all(share == sorted(share) for share in shares)


def test_no_test_is_run_on_the_unchanged_code_by_two_workers() -> None:
    shares = shares_of(candidates_of(12), 3)
    tests = [{test for each in share for test in each.tests} for share in shares]
    assert [len(each) for each in tests] == [4, 4, 4]
    assert len(set[str]().union(*tests)) == 12


def test_slow_tests_weigh_more_than_many_mutants() -> None:
    candidates = candidates_of(5)
    took = took_of(candidates) | {"test_0": 0.8}
    shares = [share_of(candidates, took, Share(part, 2)) for part in range(2)]
    tests = [{test for each in share for test in each.tests} for share in shares]
    assert sorted(map(sorted, tests)) == [["test_0"], ["test_1", "test_2", "test_3", "test_4"]]


def test_mutants_of_changed_lines_are_dealt_out_to_all() -> None:
    shares = shares_of(candidates_of(12, changed=1), 3)
    counts = [sum(each.changed for each in share) for share in shares]
    assert max(counts) - min(counts) <= 1
    assert min(counts) > 0


def test_the_mutants_of_one_long_function_are_dealt_out_to_all() -> None:
    body = "".join(f"    total = total + {at}\n" for at in range(40))
    text = f"def long(total):\n{body}    return total\n"
    candidates = [Candidate(mutant, ("test",), False) for mutant in mutants_of("work.py", text)]
    sizes = [len(share) for share in shares_of(candidates, 3)]
    assert max(sizes) - min(sizes) <= 1
