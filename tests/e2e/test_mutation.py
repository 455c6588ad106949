"""Mutants that no test notices are found, and no others; whatever a mutant does."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.shop_project import SHOP, TESTS

from lionagi_qe.agents.mutation.operators import mutants_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Aqe = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e


def test_what_survives_is_shown_as_a_diff(mutated: Answer) -> None:
    survivors = {each["diff"].split("\n+")[-1].splitlines()[0] for each in survivors_of(mutated)}
    assert survivors == {"    if amount >= 100:", "    if amount > 101:"}
    assert mutated.value("mutants_uncovered") == 2
    assert mutated.value("mutants_timed_out") >= 1
    tried = mutated.value("mutants_tried")
    assert mutated.value("mutation_score") == round(100 * (tried - 2) / tried, 2)
    assert mutated.value("mutation_score_low") < mutated.value("mutation_score")
    assert mutated.exit_code == 1


def test_the_score_is_told_with_what_it_is_of(aqe: Aqe, project: Write) -> None:
    code = "def price(n):\n    return n * 2\n"
    tests = "import shop\n\ndef test_price(): assert shop.price(1) == 2\n"
    root = committed(project({"shop.py": code, "test_shop.py": tests}))
    more = "def other(n):\n    return n * 3\n\ndef made(n):\n    return n * 4\n\nLIMIT = made(2)\n"
    (root / "shop.py").write_text(f"{code}\n{more}")
    said = aqe("mutate", root, "--base", "HEAD").out

    assert "100.00 % noticed of 3 mutants in code that tests run (95 % interval " in said, said
    code = "code that no test runs (3 in code that runs on import alone)"
    assert f"6 mutants in {code} are not in it; with them it is about 33.33 %" in said
    assert "diff      80.00 % (4 of 5 lines changed since HEAD)" in said
    assert "  untested shop.py:5\n" in said


@pytest.mark.slow
def test_outcomes_are_those_of_changing_the_file_and_running_pytest(
    mutated: Answer, project: Write
) -> None:
    root = project({"shop.py": SHOP, "test_shop.py": TESTS})
    text = (root / "shop.py").read_text()

    by_hand: set[tuple[int, str]] = set()
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for mutant in mutants_of("shop.py", text):
        # Endless loops take long by hand.
        if mutant.function in {"price", "is_open"}:
            (root / "shop.py").write_text(mutant.apply(text))
            plain = subprocess.run(
                command, cwd=root, env=env, check=False, capture_output=True, timeout=60
            )
            if plain.returncode == 0:
                by_hand.add((mutant.line, mutant.operator))

    assert {(each["line"], each["operator"]) for each in survivors_of(mutated)} == by_hand


@pytest.mark.slow
def test_tests_that_take_longer_than_there_is_time_judge_some_mutants(
    aqe: Aqe, project: Write
) -> None:
    """All of them, twice on the unchanged code, would leave no time for a mutant."""
    names = [f"f{number}" for number in range(16)]
    code = "".join(f"def {name}(n):\n    return n + 1\n\n" for name in names)
    tests = "import shop, time\n\n" + "".join(
        f"def test_{name}():\n    time.sleep(1)\n    assert shop.{name}(1) == 2\n\n"
        for name in names
    )
    answer = aqe(
        "mutate", project({"shop.py": code, "test_shop.py": tests}), "--budget", "44s", "--json"
    )

    assert 0 < answer.value("mutants_tried") < answer.value("mutants")
    assert answer.value("mutation_score") == 100


def _seconds_of_a_run(aqe: Aqe, root: Path) -> float:
    """Return how long the tests alone take here and now: on a busy machine all takes longer."""
    began = time.monotonic()
    aqe("run", root, "--agents", "test-executor", "--json")
    return time.monotonic() - began


@pytest.mark.slow
def test_trials_end_by_themselves_in_time_however_long_collecting_takes(
    aqe: Aqe, project: Write, tmp_path: Path
) -> None:
    """Killed ones would not tell; and whoever is killed late loses all that was tried."""
    conftest = f"""
        import os, pathlib, time

        trying = "AQE_MUTANTS" in os.environ
        if trying:
            time.sleep(5)

        def pytest_sessionfinish():
            if trying:
                pathlib.Path({str(tmp_path / "ended")!r}).touch()
    """
    code = "def grade(n):\n" + "".join(f"    if n == {n}: return {n}\n" for n in range(99))
    tests = """
        import shop, time

        def test_grade():
            time.sleep(0.3)
            assert shop.grade(98) == 98
    """
    root = project({"shop.py": code, "test_shop.py": tests, "conftest.py": conftest})

    budget = 8 + 3 * _seconds_of_a_run(aqe, root)
    answer = aqe("mutate", root, "--budget", f"{budget:.0f}s", "--json")

    assert 0 < answer.value("mutants_tried") < answer.value("mutants")
    assert (tmp_path / "ended").exists()


def test_changed_lines_come_first(aqe: Aqe, project: Write) -> None:
    root = committed(project({"shop.py": SHOP, "test_shop.py": TESTS}))
    text = (root / "shop.py").read_text().replace("amount > 100", "amount > 99")
    (root / "shop.py").write_text(text)

    answer = aqe("mutate", root, "--base", "HEAD", "--json")

    assert [each["changed"] for each in survivors_of(answer)] == [True, True]
    assert answer.value("diff_coverage") == 100.0
    counts = {"ref": "HEAD", "total": 1, "covered": 1, "missed": {}}
    assert answer.document["changed_lines"] == counts


def test_mutants_that_misbehave_do_no_harm(aqe: Aqe, project: Write) -> None:
    shop = """
        import os, sys

        def leave(now):
            if not now:
                return 1
            os._exit(0)

        def fill(little):
            text = "x"
            while not little:
                text += text
            return text

        def stop(now):
            if not now:
                return 1
            sys.exit(0)
    """
    tests = """
        import shop

        def test_leave():
            assert shop.leave(False) == 1

        def test_fill():
            assert shop.fill(True) == "x"

        def test_stop():
            assert shop.stop(False) == 1
    """
    answer = aqe("mutate", project({"shop.py": shop, "test_shop.py": tests}), "--json")

    assert survivors_of(answer) == [], answer.document["survivors"]
    assert answer.value("mutants_tried") > 5


def test_a_test_that_can_not_be_repeated_judges_no_mutant(aqe: Aqe, project: Write) -> None:
    tests = """
        import pathlib
        import shop

        def test_leaves_a_file():
            file = pathlib.Path("left.txt")
            assert not file.exists()
            file.write_text("left")
            assert shop.price(2)
    """
    files = {"shop.py": "def price(amount):\n    return amount + 1\n", "test_shop.py": tests}
    answer = aqe("mutate", project(files), "--json")

    assert "none can judge" in answer.reason("mutation_score")
    assert answer.exit_code == 4


def test_without_coverage_nothing_is_claimed(aqe: Aqe, project: Write) -> None:
    answer = aqe("mutate", project({"shop.py": "PRICE = 1\n"}), "--json")

    assert "not known which test runs which line" in answer.reason("mutation_score")
    assert answer.exit_code == 4


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("return a <= b", {"return a < b", "return None"}),
        ("return a is not b", {"return a is b", "return None"}),
        ("return a not in b", {"return a in b", "return None"}),
        ("a += 1", {"a -= 1", "a += 2"}),
        ("return 'ü' * a // b", {"return None", "return 'ü' * a * b"}),
        ("print(\n        a,\n    )", {"pass\n\n"}),
        ("log.info(a + 1)", set()),
        ("return f'{a + 1}'", {"return None"}),
        ("x: list[1] = 2", {"x: list[1] = 3"}),
        ("return a  # pragma: no mutate", set()),
        ("return 'total: %d' % a", {"return None"}),
        ("return (a) - (b)", {"return (a) + (b)", "return None"}),
    ],
)
def test_operators_change_what_they_say(line: str, changes: set[str]) -> None:
    text = f"def f(a, b):\n    {line}\n"

    found = {mutant.apply(text) for mutant in mutants_of("f.py", text)}

    assert found == {f"def f(a, b):\n    {change}\n" for change in changes}
    assert all(each.count("\n") == text.count("\n") for each in found)


def test_offsets_hold_in_texts_with_other_line_ends() -> None:
    text = textwrap.dedent("def f(a):\n    'ä\x0cö'\n    return a < 1\n").replace("\n", "\r\n")

    assert "    return a <= 1\r\n" in {
        line for mutant in mutants_of("f.py", text) for line in mutant.apply(text).split("\n")
    } | {mutant.apply(text)[-19:] for mutant in mutants_of("f.py", text)}


def committed(root: Path) -> Path:
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        identity = ["-c", "user.name=A", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True)
    return root


def survivors_of(answer: Answer) -> list[dict[str, Any]]:
    return answer.document["survivors"]


ORDER = """
    import shop

    STATE = []

    def test_1_sets():
        STATE.append(1)
        assert shop.price(20) == 40

    def test_2_needs_the_first():
        {claim}
        shop.price(3)
"""


def test_a_test_that_minds_its_order_kills_no_mutant(aqe: Aqe, project: Write) -> None:
    code = "def price(n):\n    if n >= 10:\n        return n * 2\n    return n * 3\n"
    killed = {}
    for claim in ("assert STATE", "pass"):
        files = {"shop.py": code, "test_shop.py": ORDER.format(claim=claim)}
        answer = aqe("mutate", project(files), "--json")
        killed[claim] = answer.value("mutants_killed")
        survived = answer.value("mutants_survived")
        assert answer.value("mutants_doubtful") == (survived if claim != "pass" else 0)
        # The line of the lower prices is run by the second test alone.
        assert (answer.value("mutants_unjudged") > 0) == (claim != "pass")
        silent = "test_shop.py::test_2_needs_the_first"
        minds = claim != "pass"
        assert (
            any(note.endswith(f"judged no mutant: {silent}") for note in answer.document["notes"])
            == minds
        )
        for each in survivors_of(answer):
            assert each["judged_nothing"] == ([silent] if minds else [])
    assert killed["assert STATE"] == killed["pass"] > 0


@pytest.mark.slow
def test_tests_that_hang_or_end_the_process_keep_no_others_from_judging(
    aqe: Aqe, project: Write
) -> None:
    code = "def price(n):\n    return n * 2\n"
    tests = """
        import os, time
        import pytest
        import shop

        trying = "AQE_MUTANTS" in os.environ

        def test_a_ends():
            assert shop.price(1) == 2
            if trying:
                os._exit(0)

        def test_b_hangs():
            assert shop.price(1) == 2
            if trying:
                time.sleep(600)

        @pytest.mark.parametrize("n", [2, 3])
        def test_c_is_well(n):
            assert shop.price(n) == 2 * n
    """
    answer = aqe("mutate", project({"shop.py": code, "test_shop.py": tests}), "--json")

    assert answer.value("mutants_tried") == answer.value("mutants_killed") > 0
    told = next(note for note in answer.document["notes"] if "2 tests that fail on" in note)
    assert "test_shop.py::test_a_ends, test_shop.py::test_b_hangs" in told


@pytest.mark.slow
def test_what_a_session_sets_up_is_no_endless_loop(aqe: Aqe, project: Write) -> None:
    """Each process sets it up anew; only the first test of a session was seen to take that long."""
    code = "def first():\n    pass\n\ndef other(x):\n    return not x\n"
    conftest = """
        import time
        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def costly():
            time.sleep(2.5)
    """
    tests = """
        import shop

        def test_first():
            shop.first()

        def test_other():
            assert shop.other(1) is False
    """
    files = {"shop.py": code, "test_shop.py": tests, "conftest.py": conftest}

    root = project(files)
    budget = 60 + 20 * _seconds_of_a_run(aqe, root)

    answer = aqe("mutate", root, "--budget", f"{budget:.0f}s", "--json")

    assert answer.value("mutants_timed_out") == 0
    assert answer.value("mutants_killed") == answer.value("mutants_tried") > 1
