"""The tests run in the order that earlier runs taught, and nothing else comes out than before."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import (
    STOREFRONT,
    TESTS_AND_COVERAGE,
    Answer,
    start_aqe,
    variables_of,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Aqe = Callable[..., Answer]
    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

FLAKY = "test_restock_is_picked_up_by_the_poller"
QUIET_RUNS = 10
FIRST = 3
LATE = 20
# Where the storefront is broken, how, and one of the tests that see it.
DEFECTS = {
    "sqlite": ("shipping.py", '"16.90"', '"16.09"', "test_cost[2500-FR-options8-16.90]"),
    "redis": ("stock.py", "< quantity", "< 0", "test_more_than_there_is_can_not_be_taken"),
    "postgres": (
        "orders.py",
        "restock(sku, quantity)",
        "restock(sku, 0)",
        "test_an_order_is_placed_as_a_whole_or_not_at_all",
    ),
}


@pytest.fixture(params=sorted(DEFECTS))
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if backend == "sqlite":
        return f"sqlite:///{tmp_path}/channels.db"
    return request.getfixturevalue(f"{backend}_url")


@dataclass(frozen=True)
class Quiet:
    """The storefront, the memory of its first runs, and what these said."""

    shop: Path
    memory: Path
    answers: list[Answer]


@pytest.fixture(scope="module")
def quiet(cache: Path, made_once: Callable[..., Path]) -> Quiet:
    """All quiet runs but the last, which each backend has for itself."""

    def fill(folder: Path) -> None:
        shop = folder / "storefront"
        shutil.copytree(STOREFRONT, shop, ignore=shutil.ignore_patterns("__pycache__"))
        settings = shop / "pyproject.toml"
        # A name of its own: servers are shared with other tests.
        settings.write_text(f'{settings.read_text()}project = "quiet-{uuid.uuid4().hex[:12]}"\n')
        url = f"sqlite:///{folder}/channels.db"
        arguments = ("run", shop, "--json", "--memory", url, "--agents", "test-executor")
        for number in range(QUIET_RUNS - 1):
            answer = start_aqe(arguments, folder, variables_of(cache, folder))
            (folder / f"{number}.json").write_text(answer.out)

    folder = made_once("quiet", fill)
    answers = [
        Answer(0, (folder / f"{number}.json").read_text(), "", folder)
        for number in range(QUIET_RUNS - 1)
    ]
    return Quiet(folder / "storefront", folder / "channels.db", answers)


@pytest.mark.slow
def test_a_regression_after_ten_quiet_runs_is_among_the_first_three_tests(
    backend: str, url: str, quiet: Quiet, aqe: Aqe, tmp_path: Path
) -> None:
    """Each run is a process of its own that knows what the memory holds, and nothing else."""
    shop = tmp_path / "storefront"
    shutil.copytree(quiet.shop, shop)
    copied = aqe("memory", "copy", f"sqlite:///{quiet.memory}", url)
    assert copied.exit_code == 0, copied.err

    def run() -> Answer:
        agents = "test-executor,coverage-analyzer"
        return aqe("run", shop, "--json", "--memory", url, "--agents", agents)

    tenth = run()
    file, text, broken, seen_by = DEFECTS[backend]
    path = shop / "src/storefront" / file
    source = path.read_text()
    assert text in source
    path.write_text(source.replace(text, broken))
    last = run()

    answers = (*quiet.answers, tenth, last)
    assert all(answer.document["order"]["ran"] == "learned" for answer in answers)
    # Nothing was known then, so it is pytest's own order.
    by_default = list(quiet.answers[0].outcomes())
    assert by_default.index(seen_by) >= LATE
    outcomes = last.outcomes()
    assert outcomes[seen_by] == "failed"
    failed = [name for name, outcome in outcomes.items() if outcome == "failed" and name != FLAKY]
    assert min(by_default.index(name) for name in failed) >= LATE
    assert list(outcomes).index(failed[0]) < FIRST


MINDFUL = """
    import shop

    def test_first(): shop.opened.append(1)
    def test_other(): assert shop.total(2) == 2
    def test_last(): assert shop.opened and shop.total(1) == 1
"""
SHOP = """
    opened = []

    def total(amount):
        return amount
"""
EASY = {"shop.py": SHOP, "test_shop.py": MINDFUL.replace("shop.opened and ", "")}
HUNT = ("--agents", "test-executor,coverage-analyzer,flaky-test-hunter", "--budget", "14s")


@pytest.fixture
def memory(cache: Path, made_once: Callable[..., Path], tmp_path: Path) -> str:
    """A copy of a memory that knows that no test of EASY minds its order, and what they run."""

    def fill(folder: Path) -> None:
        shop, url = write(folder / "shop", EASY), f"sqlite:///{folder}/hunted.db"
        usual = ("--agents", TESTS_AND_COVERAGE)
        before, _, _ = (
            start_aqe(
                ("run", shop, "--json", "--memory", url, *options),
                folder,
                variables_of(cache, folder),
            )
            for options in (usual, HUNT, usual)
        )
        assert before.document["order"]["ran"] == "given"
        assert "no hunt for flaky tests" in before.document["order"]["why"]

    shutil.copy(made_once("hunted", fill) / "hunted.db", tmp_path / "own.db")
    return f"sqlite:///{tmp_path}/own.db"


def test_the_learned_order_is_followed_once_a_hunt_has_shown_that_no_test_minds(
    memory: str, examine: Examine, project: Write
) -> None:
    shop = project(EASY)
    assert examine(shop, "--memory", memory).document["order"]["ran"] == "learned"
    own = examine(shop, "--memory", memory, "--order", "default")
    assert own.document["order"]["ran"] == "given"
    assert examine(shop, "--memory", memory, "--no-learn").document["order"] is None


def test_a_project_whose_tests_mind_their_order_keeps_it(examine: Examine, project: Write) -> None:
    shop = project({"shop.py": SHOP, "test_shop.py": MINDFUL})
    examine(shop, *HUNT)
    answer = examine(shop)

    assert answer.document["order"]["ran"] == "given"
    assert "test_last" in answer.document["order"]["why"]
    assert set(answer.outcomes().values()) == {"passed"}


def test_a_failure_counts_only_if_it_comes_in_the_own_order_too(
    memory: str, examine: Examine, project: Write
) -> None:
    """What no hunt could know: after it, a test began to rest on another that goes before it."""
    # The tests that run what changed go first.
    changed = SHOP.replace("return amount", "return 1 * amount")
    shop = project({"shop.py": changed, "test_shop.py": MINDFUL})
    answer = examine(shop, "--memory", memory)
    later = examine(shop, "--memory", memory)

    assert answer.document["order"]["ran"] == "learned"
    assert set(answer.outcomes().values()) == {"passed"}
    assert list(answer.outcomes()) == ["test_first", "test_other", "test_last"]
    assert any("test_last: ended otherwise" in note for note in answer.document["notes"])
    assert later.document["order"]["ran"] == "given"


def test_a_failure_that_comes_in_any_order_counts(
    memory: str, examine: Examine, project: Write
) -> None:
    broken = SHOP.replace("return amount", "return 2 * amount")
    shop = project(EASY | {"shop.py": broken})
    answer = examine(shop, "--memory", memory)

    outcomes = answer.outcomes()
    assert outcomes == {"test_first": "passed", "test_other": "failed", "test_last": "failed"}
    assert answer.value("line_coverage") == 100
    assert examine(shop, "--memory", memory).document["order"]["ran"] == "learned"
