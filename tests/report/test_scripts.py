"""What the pages' scripts make of the tests of a run, in the engine of a browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from py_mini_racer import MiniRacer
from tests.report.pages import Report, written
from tests.report.recorded_run import Size, recorded_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Evaluate = Callable[[str], Any]

HOSTILE = "</script>%00%zz#?&\"'\\\ud800\u2028é"


@pytest.fixture(scope="module", params=["plain", HOSTILE])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Report:
    recorded = recorded_run(Size(tests=40, runs=5), request.param)
    return written(recorded, tmp_path_factory.mktemp("scripts") / "report")


@pytest.fixture(scope="module")
def evaluate(report: Report) -> Iterator[Evaluate]:
    with MiniRacer() as engine:
        for script in ("tests.js", "test_history.js"):
            engine.eval((report.directory / script).read_text(encoding="utf-8"))
        yield lambda source: json.loads(str(engine.eval(f"JSON.stringify({source})")))


def test_every_test_is_found_by_the_link_to_it(report: Report, evaluate: Evaluate) -> None:
    found = evaluate(
        "AQE_TESTS.tests.map((test) => testOf(linkOf(test[0]).slice('test.html'.length))[1])"
    )
    assert found == list(range(40))
    links = evaluate("AQE_TESTS.tests.map((test) => linkOf(test[0]))")
    assert not any(set('<>"& \n') & set(link) for link in links)
    # Those of pages that were written without a script lead there, too.
    written_links = [
        address
        for page in report.pages.values()
        for address in page.addresses()
        if address.startswith("test.html#")
    ]
    hashes = json.dumps([link.removeprefix("test.html") for link in written_links])
    assert min(evaluate(f"{hashes}.map((each) => testOf(each)[1])")) >= 0


def test_an_address_that_is_no_test_s_finds_none(evaluate: Evaluate) -> None:
    assert evaluate("testOf('#tests/none.py::test_x')[1]") == -1
    assert evaluate("testOf('#%E0%A4%A')") == ["%E0%A4%A", -1]


def test_tests_are_chosen_by_a_part_of_their_names_and_by_outcome(evaluate: Evaluate) -> None:
    order = "[...AQE_TESTS.tests.keys()]"
    assert evaluate(f"chosenTests({order}, '', 'failing')") == [0, 10, 20, 30]
    assert evaluate(f"chosenTests({order}, '', 'failed')") == [0, 10, 20, 30]
    assert len(evaluate(f"chosenTests({order}, '', 'passed')")) == 36
    assert evaluate(f"chosenTests({order}, 'TEST_7.PY', '')") == [7]
    assert evaluate(f"chosenTests({order}, 'no such', '')") == []
    # Named by this run, by an earlier hunt, and by one commit that saw it pass and fail.
    assert evaluate(f"chosenTests({order}, '', 'flaky')") == [0, 1, 4]


def test_tests_are_sorted_both_ways(evaluate: Evaluate) -> None:
    order = "[...AQE_TESTS.tests.keys()]"
    assert evaluate(f"sorted({order}, 'seconds', -1)") == list(range(39, -1, -1))
    assert evaluate(f"sorted({order}, 'seconds', 1)") == list(range(40))
    assert evaluate(f"sorted({order}, 'outcome', 1)")[:4] == [0, 10, 20, 30]


def test_a_test_s_past_is_unpacked_as_it_was(evaluate: Evaluate) -> None:
    past = evaluate("pastOf(AQE_TESTS.tests[0])")
    assert [run for run, _, _ in past] == [0, 1, 2, 3, 4]
    assert [milliseconds for _, _, milliseconds in past] == [250, 260, 270, 280, 250]
    assert evaluate("failuresOf(pastOf(AQE_TESTS.tests[0]))") == 2
    assert evaluate("outcomeClass(AQE_TESTS.tests[0][1])") == "bad"
    assert evaluate("outcomeClass(AQE_TESTS.tests[1][1])") == "passed"


def test_what_came_between_is_asked_of_git_by_the_two_commits(evaluate: Evaluate) -> None:
    assert evaluate("failingSince(0)") == "2027-01-01 00:00:04 UTC (1 run)"
    command = evaluate("commandBetween(AQE_TESTS.since[0])")
    assert command == f"git log --oneline {'a' * 40}..{'b' * 40}"
    # Between two runs of one commit nothing came.
    assert evaluate("commandBetween([0, 1])") == ""


def test_times_are_shown_in_units_that_people_read(evaluate: Evaluate) -> None:
    assert evaluate("[0.4, 12, 999, 1000, 61500].map(shownTime)") == [
        "0.4 ms", "12 ms", "999 ms", "1.00 s", "61.50 s",
    ]  # fmt: skip


def test_the_script_of_the_pages_is_one_that_browsers_read(report: Report) -> None:
    text = (report.directory / "report.js").read_text(encoding="utf-8")
    with MiniRacer() as engine:
        engine.eval(f"new Function({json.dumps(text)})")
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert unsafe not in text
