from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from lionagi_qe import Memory, open_memory
from lionagi_qe.agents.flaky.rerun_budget import ROUND, RerunChoice
from lionagi_qe.agents.mutation.operators import mutants_of
from lionagi_qe.agents.mutation.runner import Candidate
from lionagi_qe.agents.mutation.sampling import MutantChoice, arm_of, choose
from lionagi_qe.learning.choices import Choices, Made, chosen
from lionagi_qe.learning.shadow import Scores

FUNCTIONS = 30
TRIED = 40
# Functions whose tests are weak: most of their mutants survive.
WEAK = {"weak_3", "weak_17"}


@pytest.fixture
async def memory() -> AsyncIterator[Memory]:
    async with open_memory("memory://") as opened:
        yield opened


@pytest.fixture(scope="module")
def candidates() -> list[Candidate]:
    names = [
        f"weak_{number}" if f"weak_{number}" in WEAK else f"good_{number}"
        for number in range(FUNCTIONS)
    ]
    text = "".join(
        f"def {name}(a, b):\n    return a + b * 2 if a < b or b > 3 else a - b\n" for name in names
    )
    mutants = sorted(mutants_of("shop.py", text), key=lambda mutant: mutant.rank)
    return [Candidate(mutant, ("test_shop",), changed=False) for mutant in mutants]


def _try(choice: MutantChoice, candidates: list[Candidate]) -> dict[int, str]:
    return {
        number: "survived" if candidates[number].mutant.function in WEAK else "killed"
        for number in choice.order[:TRIED]
    }


def _survivors(outcomes: dict[int, str]) -> int:
    return sum(outcome == "survived" for outcome in outcomes.values())


async def test_mutants_of_functions_with_survivors_are_tried_first_in_later_runs(
    memory: Memory, candidates: list[Candidate]
) -> None:
    choices, found = Choices(memory, "shop", "mutants"), list[int]()
    for _ in range(12):
        choice = choose(candidates, await choices.learned_state())
        assert sorted(choice.order) == list(range(len(candidates)))
        outcomes = _try(choice, candidates)
        found.append(_survivors(outcomes))
        await choices.add(Made.of_details(choice.made(candidates, outcomes).as_details()))
    assert found[-1] >= 2 * found[0]
    report = await choices.report()
    assert (report.decisions, report.scored) == (12, 11)
    assert report.verdict == "better"


async def test_the_score_stays_that_of_an_even_sample(
    memory: Memory, candidates: list[Candidate]
) -> None:
    choices = Choices(memory, "shop", "mutants")
    first = choose(candidates, await choices.learned_state())
    assert list(first.order) == list(range(len(candidates)))
    await choices.add(first.made(candidates, _try(first, candidates)))
    choice = choose(candidates, await choices.learned_state())
    outcomes = _try(choice, candidates)
    sample = choice.sample(outcomes)
    assert sample == set(range(len(sample)))
    assert TRIED / 2 <= len(sample) < TRIED
    assert choice.learned & outcomes.keys() - sample


async def test_changed_lines_stay_in_front(memory: Memory, candidates: list[Candidate]) -> None:
    changed = [
        Candidate(each.mutant, each.tests, changed=number < 5)
        for number, each in enumerate(candidates)
    ]
    choices = Choices(memory, "shop", "mutants")
    await choices.add(Made("learned", [(arm_of(candidates[9].mutant), 1.0)], [], [], None))
    assert list(choose(changed, await choices.learned_state()).order[:5]) == [0, 1, 2, 3, 4]


async def test_a_new_process_chooses_as_an_uninterrupted_one(
    tmp_path: Path, candidates: list[Candidate]
) -> None:
    async def run(path: Path, *, restart: bool) -> list[list[int]]:
        memory, orders = open_memory(f"sqlite:///{path}"), list[list[int]]()
        for _ in range(6):
            if restart:
                await memory.close()
                memory = open_memory(f"sqlite:///{path}")
            choices = Choices(memory, "shop", "mutants")
            choice = choose(candidates, await choices.learned_state())
            orders.append(list(choice.order))
            await choices.add(choice.made(candidates, _try(choice, candidates)))
        await memory.close()
        return orders

    steady = await run(tmp_path / "steady.db", restart=False)
    assert await run(tmp_path / "restarted.db", restart=True) == steady


async def _hunt(choices: Choices, chances: dict[str, float], rng: Random) -> str | None:
    choice = RerunChoice.of(await choices.learned_state())
    for _ in range(30):
        choice.tell(found=rng.random() < chances[choice.next()])
    made = choice.made()
    assert made is not None
    return await choices.add(Made.of_details(made.as_details()))


async def test_reruns_go_where_they_find_something(memory: Memory) -> None:
    choices, rng = Choices(memory, "shop", "reruns"), Random(3)
    for _ in range(15):
        await _hunt(choices, {"seeds": 0.05, "order": 0.5, "same": 0.05}, rng)
    report = await choices.report()
    assert report.verdict == "better"
    assert report.orders["optimal"].mean > report.orders["random"].mean
    choice = RerunChoice.of(await choices.learned_state())
    assert [choice.next() for _ in range(40)].count("order") > 20


async def test_where_nothing_is_to_be_learned_no_difference_is_claimed(memory: Memory) -> None:
    choices, rng = Choices(memory, "shop", "reruns"), Random(5)
    for _ in range(15):
        await _hunt(choices, dict.fromkeys(ROUND, 0.2), rng)
    assert (await choices.report()).verdict == "no difference"


async def test_choices_that_are_worse_for_long_are_switched_back_and_say_so(
    memory: Memory,
) -> None:
    choices = Choices(memory, "shop", "reruns")
    reasons = list[str]()
    for _ in range(20):
        made = Made("learned", [("seeds", 0.0)], ["seeds"], ["order"], Scores(0.0, 0.2, 0.1, 0.2))
        reason = await choices.add(made)
        reasons += [reason] if reason else []
    assert len(reasons) == 1
    assert reasons[0].startswith(
        "the learned choice of reruns was worse than the heuristic by 0.200 finds per session"
    )
    assert await choices.acting() == "heuristic"
    choice = RerunChoice.of(await choices.learned_state())
    done = [choice.next() for _ in range(200)]
    plain = [ROUND[number % len(ROUND)] for number in range(200)]
    assert sum(a == b for a, b in zip(done, plain, strict=True)) > 150


def test_without_a_lesson_the_plain_rounds_are_made() -> None:
    choice = RerunChoice.of(None)
    assert [choice.next() for _ in range(10)] == [*ROUND, *ROUND]
    assert choice.made() is None


async def test_choices_are_apart_listed_and_forgotten(memory: Memory) -> None:
    made = Made("learned", [("seeds", 1.0)], ["seeds"], ["seeds"], None)
    for project in ("shop", "shop/api"):
        await Choices(memory, project, "reruns").add(made)
    assert await chosen(memory) == [("shop", "reruns"), ("shop/api", "reruns")]
    await Choices(memory, "shop", "reruns").reset()
    assert await chosen(memory) == [("shop/api", "reruns")]
    assert (await Choices(memory, "shop", "reruns").learned_state())["arms"] == {}
