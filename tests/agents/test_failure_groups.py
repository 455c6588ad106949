"""Failures that are one failure: planted ones, told by real sessions of pytest."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rapidfuzz import fuzz
from tests.benchmarks.failure_grouping.measure import confused, confused_in_groups

from lionagi_qe.agents import inject
from lionagi_qe.agents.execution.failure_groups import (
    Past,
    by_messages,
    failures_of,
    grouped,
    ungrouped,
)
from lionagi_qe.agents.execution.failure_signatures import LONGEST_TEXT, normalized
from lionagi_qe.agents.execution.outcomes import Recording

if TYPE_CHECKING:
    from collections.abc import Mapping

_LAUNCHER = Path(inject.__file__).with_name("aqe_launch.py")
CAUSES, TESTS = 8, 5
PRODUCT = """
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def deep(n):
        raise ValueError(f"no price for article {n} at {id(n):#x}")

    def by_cart(n):
        return deep(n)

    def by_order(n):
        return by_cart(n)

    def twice(n):
        if n % 2:
            raise ValueError("out of stock")
        raise ValueError("out of stock")

    def wrapped(n):
        try:
            {}[n]
        except KeyError as error:
            raise LookupError(f"article {n} is not known") from error

    def run(said):
        raise OSError(said)

    def several(n):
        raise ExceptionGroup("both", [ValueError(f"first {n}"), TypeError("second")])

    def odd():
        raise Odd

    class BrokenExceptionGroup(Exception):
        @property
        def exceptions(self):
            raise RuntimeError("no parts")

    def fourth(n):
        return 4 if n < 3 else 5
"""
TESTS_OF_PRODUCT = r"""
    import pytest
    import shop

    @pytest.mark.parametrize("n", range(4))
    def test_values(n):
        assert shop.fourth(n) == "x" * n

    @pytest.mark.parametrize("word", ["Ana", "a longer one", "<b>"])
    def test_words(word):
        assert word == 1, f"{word} is wrong"

    @pytest.mark.parametrize("n", range(3))
    def test_cart(n):
        shop.by_cart(n)

    def test_order():
        shop.by_order(71)

    @pytest.mark.parametrize("n", range(4))
    def test_twice(n):
        shop.twice(n)

    @pytest.mark.parametrize("n", [1, 2])
    def test_wrapped(n):
        shop.wrapped(n)

    @pytest.mark.parametrize("said", ["ruff: not found", "mypy: not found", "not a repository"])
    def test_run(said):
        shop.run("command failed with 127: sh: 1: " + said)

    @pytest.mark.parametrize("n", [1, 2])
    def test_several(n):
        shop.several(n)

    @pytest.fixture
    def database():
        raise ConnectionError("no database at 127.0.0.1:5432")

    def test_fixture_one(database):
        pass

    def test_fixture_two(database):
        pass

    @pytest.fixture
    def closing():
        yield
        raise OSError("can't be closed")

    def test_teardown_one(closing):
        pass

    def test_teardown_and_call(closing):
        assert False, "on its own"

    def test_no_fixture_one(nosuch):
        pass

    def test_no_fixture_two(nosuch):
        pass

    def test_odd():
        shop.odd()

    def deeper(n):
        return deeper(n + 1)

    def test_deep_one():
        deeper(0)

    def test_deep_two():
        deeper(700)

    def test_broken():
        raise shop.BrokenExceptionGroup("it can't be told")

    def test_generated():
        exec("raise KeyError('of no file')")

    def test_long():
        raise ValueError("\x1b[31m\x00<script>\u202e" + "x" * 1_000_000)

    def require(condition):
        assert condition

    def test_helper_one():
        require(False)

    def test_helper_two():
        require(False)

    @pytest.mark.xfail
    def test_expected():
        shop.deep(1)

    def test_passes():
        pass
"""


def groups_of(root: Path, files: Mapping[str, str]) -> list[dict[str, Any]]:
    return grouped(failures_of(recorded(root, files)))


def recorded(root: Path, files: Mapping[str, str]) -> Recording:
    """Run pytest on a project from file name -> text, and return what the recorder told."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    record = root.parent / f"{root.name}.jsonl"
    words = ["pytest", "-p", "aqe_recorder", "-p", "no:cacheprovider", "-p", "no:randomly"]
    subprocess.run(
        [sys.executable, _LAUNCHER, record, "", "", "", *words, "--continue-on-collection-errors"],
        cwd=root,
        env={"PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        check=False,
    )
    recording = Recording.read(record)
    assert recording.exit == 1
    return recording


def names(groups: list[dict[str, Any]]) -> list[set[str]]:
    return [{test.rpartition("::")[2] for test in group["tests"]} for group in groups]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    root = tmp_path_factory.mktemp("planted") / "project"
    return groups_of(root, {"shop.py": PRODUCT, "test_shop.py": TESTS_OF_PRODUCT})


def test_groups_are_exactly_the_planted_causes_where_traces_differ(tmp_path: Path) -> None:
    product = "".join(
        f"def cause_{n}(x):\n    raise RuntimeError(f'it broke for {{x}}')\n" for n in range(CAUSES)
    )
    tests = "".join(
        f"def test_{n}_{m}():\n    shop.cause_{n}({m * 1000})\n"
        for m in range(TESTS)
        for n in range(CAUSES)
    )
    root = tmp_path / "project"
    groups = groups_of(root, {"shop.py": product, "tests/test_shop.py": f"import shop\n{tests}"})

    expected = [{f"test_{n}_{m}" for m in range(TESTS)} for n in range(CAUSES)]
    assert sorted(map(sorted, names(groups))) == sorted(map(sorted, expected))


def test_parameters_whose_values_alone_differ_fail_alike(planted: list[dict[str, Any]]) -> None:
    found = names(planted)
    assert {f"test_values[{n}]" for n in range(4)} in found
    assert {"test_words[Ana]", "test_words[a longer one]", "test_words[<b>]"} in found


def test_whoever_calls_what_is_broken_fails_alike(planted: list[dict[str, Any]]) -> None:
    assert {"test_cart[0]", "test_cart[1]", "test_cart[2]", "test_order"} in names(planted)


def test_lines_that_read_alike_in_one_function_are_two_places(
    planted: list[dict[str, Any]],
) -> None:
    found = names(planted)
    assert {"test_twice[0]", "test_twice[2]"} in found
    assert {"test_twice[1]", "test_twice[3]"} in found


def test_chains_and_groups_of_errors_are_told_whole(planted: list[dict[str, Any]]) -> None:
    found = {frozenset(name): group for name, group in zip(names(planted), planted, strict=True)}
    chained = found[frozenset({"test_wrapped[1]", "test_wrapped[2]"})]
    assert [line for line in chained["place"] if " " not in line] == ["LookupError", "KeyError"]
    several = found[frozenset({"test_several[1]", "test_several[2]"})]
    assert several["place"][-2:] == ["TypeError", "ValueError"]


def test_at_one_place_words_that_differ_are_other_failures(planted: list[dict[str, Any]]) -> None:
    found = names(planted)
    assert {"test_run[ruff: not found]", "test_run[mypy: not found]"} in found
    assert {"test_run[not a repository]"} in found


def test_fixtures_that_fail_or_lack_are_one_failure_each(planted: list[dict[str, Any]]) -> None:
    found = names(planted)
    assert {"test_fixture_one", "test_fixture_two"} in found
    assert {"test_no_fixture_one", "test_no_fixture_two"} in found


def test_a_test_that_fails_twice_is_in_both_groups(planted: list[dict[str, Any]]) -> None:
    found = names(planted)
    assert {"test_teardown_one", "test_teardown_and_call"} in found
    assert {"test_teardown_and_call"} in found


def test_a_helper_of_tests_is_not_the_failure_of_all_who_call_it(
    planted: list[dict[str, Any]],
) -> None:
    found = names(planted)
    assert {"test_helper_one"} in found
    assert {"test_helper_two"} in found


def test_what_was_expected_or_passed_is_in_no_group(planted: list[dict[str, Any]]) -> None:
    assert not {"test_expected", "test_passes"} & set().union(*names(planted))


def test_an_endless_message_is_told_by_its_beginning(planted: list[dict[str, Any]]) -> None:
    group = planted[names(planted).index({"test_long"})]
    assert len(group["message"]) <= 2000
    assert len(group["texts"][0]) <= LONGEST_TEXT
    assert "\x1b" not in group["texts"][0]
    assert "\x00" not in group["texts"][0]


def test_an_error_that_can_not_be_told_is_told_by_its_type(planted: list[dict[str, Any]]) -> None:
    assert planted[names(planted).index({"test_odd"})]["place"][0] == "shop.Odd"


def test_what_calls_itself_is_one_place(planted: list[dict[str, Any]]) -> None:
    group = planted[names(planted).index({"test_deep_one", "test_deep_two"})]
    assert group["place"].count("test_shop.py deeper: return deeper(n + 1)") == 1


def test_an_error_that_breaks_when_it_is_looked_at_goes_by_its_text(
    planted: list[dict[str, Any]],
) -> None:
    group = planted[names(planted).index({"test_broken"})]
    assert group["place"] == ["failed"]
    assert "can't be told" in group["texts"][0]


def test_code_of_no_file_is_no_place(planted: list[dict[str, Any]]) -> None:
    group = planted[names(planted).index({"test_generated"})]
    assert len(group["place"]) == 2
    assert group["place"][1].startswith("test_shop.py test_generated: exec(")


def test_files_that_can_not_be_collected_for_one_reason_are_together(tmp_path: Path) -> None:
    groups = groups_of(
        tmp_path / "project",
        {
            "shop.py": "def price(:\n",
            "test_a.py": "import nosuch_module\n",
            "test_b.py": "\n\nfrom nosuch_module import it\n",
            "test_c.py": "import shop\n",
            "test_d.py": "import shop as other\n",
            "test_e.py": "def test_e():\n    assert False\n",
        },
    )
    assert sorted(map(sorted, names(groups))) == [
        ["test_a.py", "test_b.py"],
        ["test_c.py", "test_d.py"],
        ["test_e"],
    ]


def test_groups_keep_their_places_when_lines_move(tmp_path: Path) -> None:
    before, after = (
        groups_of(tmp_path / name, {"shop.py": f"{head}{text}", "test_shop.py": TEST})
        for name, head in (("one", ""), ("two", "import os\n\n\n"))
        for text in ["def price():\n    raise ValueError('no price')\n"]
        for TEST in ["import shop\ndef test_price():\n    shop.price()\n"]
    )
    assert [group["id"] for group in before] == [group["id"] for group in after]
    assert Past(before).alike(after[0]) is before[0]


def test_groups_of_shards_become_those_of_the_whole(planted: list[dict[str, Any]]) -> None:
    halves = [
        [group | {"tests": group["tests"][half::2]} for group in planted if group["tests"][half::2]]
        for half in range(2)
    ]
    merged = grouped(failure for half in halves for failure in ungrouped(half))
    assert sorted(map(sorted, names(merged))) == sorted(map(sorted, names(planted)))


def test_failures_without_traces_go_by_what_they_say() -> None:
    said = [
        "E  no server at 10.0.0.1",
        "E  no server at 10.0.0.2",
        "E  'a' lacks",
        "E  'b' lacks",
        "",
    ]
    tests = [
        {"id": f"test_{n}", "outcome": "failed", "message": text} for n, text in enumerate(said)
    ]
    found = names(by_messages([*tests, {"id": "t", "outcome": "passed", "message": ""}]))
    assert found == [{"test_0", "test_1"}, {"test_2"}, {"test_3"}, {"test_4"}]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("took 3.5 s", "took 12 s"),
        ("at 0x7f00aa", "at 0x1"),
        ("no file /tmp/a/b.txt", "no file /home/me/c.csv"),
        (
            "job 6f1c2f1e-77aa-4b52-9d3c-8d8f7c2b1a00 died",
            "job 00000000-77aa-4b52-9d3c-8d8f7c2b1a00 died",
        ),
        ("since 2027-01-02T03:04:05Z", "since 2026-12-31 23:59:59.123"),
        ("commit deadbeef1 is gone", "commit 0123abc is gone"),
        ("lacks 'a'", "lacks 'b c'"),
        ("sums [1, 2, 3]", "sums [4, 5]"),
        ("get http://a.test/x?y=1", "get https://b.test"),
    ],
)
def test_what_differs_each_time_is_no_word(one: str, other: str) -> None:
    assert normalized(one) == normalized(other)


def test_the_threshold_merges_none_of_the_messages_that_were_sorted_by_hand() -> None:
    split, merged = confused_in_groups()
    equal_alone, _ = confused(fuzz.ratio, 100)
    assert merged == 0
    assert split < equal_alone / 2
