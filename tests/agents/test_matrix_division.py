"""How the machines of a CI matrix divide the tests: alike, evenly, and much as the last time."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from tests.e2e.conftest import write

from lionagi_qe.agents import inject
from lionagi_qe.agents.execution.outcomes import Recording
from lionagi_qe.agents.inject.aqe_division import divide, weights

if TYPE_CHECKING:
    from collections.abc import Mapping

INJECTED = Path(str(inject.__file__)).parent
SHARDS = 5


def suite(count: int, seed: int = 1) -> dict[str, int]:
    """A suite as they are: most tests are short, and few are long; microseconds."""
    chance = random.Random(seed)
    return {
        f"tests/test_{number}.py": int(1e6 * chance.lognormvariate(0, 1.2))
        for number in range(count)
    }


def loads(units: Mapping[str, int], parts: Mapping[str, int]) -> list[int]:
    sums = [0] * max(parts.values())
    for unit, part in parts.items():
        sums[part - 1] += units[unit]
    return sums


@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.integers(1, 10**9), max_size=40),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_each_unit_is_in_one_shard_whatever_the_order_of_collection(
    units: dict[str, int], of: int, chance: random.Random
) -> None:
    parts = divide(units, of)
    assert parts.keys() == units.keys()
    assert set(parts.values()) <= set(range(1, of + 1))
    shuffled = list(units.items())
    chance.shuffle(shuffled)
    assert divide(dict(shuffled), of) == parts


def test_shards_of_five_thousand_units_take_about_as_long() -> None:
    units = suite(5000)
    sums = loads(units, divide(units, SHARDS))
    assert min(sums) > 0.975 * max(sums)


def test_one_unit_that_is_longer_than_all_others_has_a_shard_for_itself() -> None:
    units = {"long.py": 1000} | {f"test_{number}.py": 10 for number in range(40)}
    parts = divide(units, SHARDS)
    assert [unit for unit, part in parts.items() if part == parts["long.py"]] == ["long.py"]
    others = [load for load in loads(units, parts) if load != 1000]
    assert max(others) - min(others) <= 10


def test_new_tests_and_other_durations_move_few_tests() -> None:
    units = suite(5000)
    parts = divide(units, SHARDS)
    chance = random.Random(2)
    more = units | {f"tests/new_{number}.py": 10**6 for number in range(50)}
    slower = {unit: int(taken * chance.uniform(0.9, 1.1)) for unit, taken in units.items()}
    for changed in (more, slower):
        now = divide(changed, SHARDS)
        assert sum(now[unit] != part for unit, part in parts.items()) < 0.03 * len(units)


def test_unknown_tests_last_as_long_as_their_file_usually_does() -> None:
    known = {"a.py::1": 1.0, "a.py::2": 3.0, "a.py::3": 5.0, "b.py::1": 0.1}
    tests = [*known, "a.py::new", "c.py::new"]
    taken = weights(tests, known | {"gone.py::1": 9.0})
    assert taken["a.py::new"] == 3_000_000
    assert taken["c.py::new"] == 3_000_000, "the median of all that are known"
    assert len(set(weights(tests, {}).values())) == 1, "by count, where nothing is known"


FIXTURES = {
    "test_module.py": """
        import pytest

        @pytest.fixture(scope="module")
        def server():
            return []

        def test_one(server): pass
        def test_two(): pass
    """,
    "test_class.py": """
        import unittest

        class TestShop(unittest.TestCase):
            def test_one(self): pass
            def test_two(self): pass

        class TestFree:
            def test_one(self): pass
            def test_two(self): pass

        def test_free(): pass
    """,
}


def session(folder: Path, **shard: Any) -> tuple[int, dict[str, Any], list[str]]:
    """Run pytest as one shard; return its exit code, what it wrote, and which tests ran."""
    document = {"part": 1, "of": 2, "by": "file", "seconds": {}} | shard
    document["collected"] = str(folder / "collected.json")
    (folder / "shard.json").write_text(json.dumps(document))
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "aqe_shard", "-v", "-p", "no:cacheprovider"],
        cwd=folder,
        env=os.environ
        | {
            "AQE_SHARD": str(folder / "shard.json"),
            "PYTHONPATH": str(INJECTED),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        check=False,
        capture_output=True,
        text=True,
    )
    ran = [line.partition(" ")[0] for line in completed.stdout.splitlines() if " PASSED" in line]
    return completed.returncode, json.loads((folder / "collected.json").read_text()), ran


def test_by_test_those_that_share_a_fixture_of_their_class_or_module_stay_together(
    tmp_path: Path,
) -> None:
    write(tmp_path, FIXTURES | {"pytest.ini": "[pytest]"})
    _, written, ran = session(tmp_path, by="test")
    units = dict(zip(written["ids"], written["units"], strict=True))
    assert {units["test_module.py::test_one"], units["test_module.py::test_two"]} == {
        "test_module.py"
    }
    of_class = [unit for test, unit in units.items() if "TestShop" in test]
    assert of_class == ["test_class.py::TestShop"] * 2
    alone = [test for test, unit in units.items() if test == unit]
    assert len(alone) == 3
    assert ran == written["own"] == [test for test in units if written["parts"][units[test]] == 1]


def test_a_shard_without_tests_ends_well_unless_there_are_none_at_all(tmp_path: Path) -> None:
    write(tmp_path, {"pytest.ini": "[pytest]"})
    assert session(tmp_path)[0] == 5
    (tmp_path / "test_a.py").write_text("def test_a(): pass")
    codes = {part: session(tmp_path, part=part) for part in (1, 2)}
    assert sorted(len(ran) for _, _, ran in codes.values()) == [0, 1]
    assert {code for code, _, _ in codes.values()} == {0}


SERVER = """
    import time
    import pytest

    @pytest.fixture(scope="session")
    def room():
        time.sleep(0.1)
        yield
        time.sleep(0.1)

    @pytest.fixture(scope="session")
    def server(request, room):
        request.getfixturevalue("room")
        time.sleep(0.1)

    @pytest.fixture(scope="module")
    def page(server):
        time.sleep(0.1)
"""


def test_what_fixtures_of_the_session_take_is_not_the_time_of_the_tests_that_meet_them(
    tmp_path: Path,
) -> None:
    record = tmp_path / "events.jsonl"
    tests = "def test_first(page): pass\n\n\ndef test_last(server): pass\n"
    write(tmp_path, {"conftest.py": SERVER, "test_shop.py": tests, "pytest.ini": "[pytest]"})
    program = (
        f"import aqe_recorder; aqe_recorder.open_record({str(record)!r}); import pytest; "
        "raise SystemExit(pytest.main(['-p', 'aqe_recorder', '-q']))"
    )
    variables = {"PYTHONPATH": str(INJECTED), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-c", program]
    subprocess.run(command, cwd=tmp_path, env=os.environ | variables, check=True)
    first, last = Recording.read(record).tests.values()
    assert 0.2 <= first.shared <= first.seconds - 0.1, "its module's fixture is its own"
    assert 0.1 <= last.shared <= last.seconds
