"""Tests in shards, as the machines of a CI matrix run them, merged into the run of all tests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tests.e2e.conftest import TESTS_AND_COVERAGE, Answer, checksum, start_aqe, variables_of, write

from lionagi_qe.cli.run import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

FILES = {
    "shop.py": """
        def price(amount, vip=False):
            if vip:
                return amount // 2
            if amount > 3:
                return amount - 1
            return amount

        def never():
            return 1
    """,
    "test_one.py": """
        import pytest
        import shop

        @pytest.mark.parametrize("amount", [1, 2])
        def test_small(amount):
            assert shop.price(amount) == amount

        def test_fails():
            assert shop.price(9) == 9
    """,
    "test_two.py": """
        import pytest
        import shop

        def test_vip():
            assert shop.price(8, vip=True) == 4

        @pytest.mark.skip
        def test_later():
            raise AssertionError
    """,
    "test_three.py": """
        import unittest
        import shop

        class TestShop(unittest.TestCase):
            def test_large(self):
                for amount in (5, 6):
                    with self.subTest(amount=amount):
                        self.assertEqual(shop.price(amount), amount - 1)
    """,
    "test_broken.py": "import shop.nowhere",
    "pyproject.toml": """
        [project]
        name = "shop"
        version = "1"

        [tool.aqe]
        fail-on = ["lines_covered < 7"]
    """,
}
RULES = ("--agents", TESTS_AND_COVERAGE)
# What no two runs have in common.
OF_ONE_RUN = {"test_seconds", "test_sessions"}


class Matrix:
    """A project, run once as a whole and once in two shards on machines of their own."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.shop = write(folder / "shop", FILES)
        for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
            identity = ("-c", "user.name=A", "-c", "user.email=a@b")
            subprocess.run(["git", *identity, *words], cwd=self.shop, check=True)
        self.results = [folder / f"{part}.json" for part in (1, 2)]

    def aqe(self, machine: str, *words: object) -> Answer:
        place = self.folder / machine
        place.mkdir(exist_ok=True)
        return start_aqe(words, place, variables_of(self.cache, place))

    def shard(self, part: int, *words: object, machine: str | None = None) -> Answer:
        report = f"shard={self.results[part - 1]}"
        asked = ("--shard", f"{part}/2", "--report", report, "--json")
        return self.aqe(machine or f"machine{part}", "run", self.shop, *asked, *words)

    def merge(self, *words: object, machine: str = "merging") -> Answer:
        return self.aqe(machine, "merge", "--project", self.shop, "--json", *words)


@pytest.fixture(scope="module")
def matrix(
    tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> tuple[Matrix, Answer, list[Answer], Answer]:
    """The matrix, the run of all tests, the shards' runs, and what they were merged into."""
    matrix = Matrix(tmp_path_factory.mktemp("matrix"), cache)
    durations = matrix.folder / "durations.json"
    junit = f"junit={matrix.folder / 'whole.xml'},durations={durations}"
    whole = matrix.aqe("whole", "run", matrix.shop, "--json", *RULES, "--report", junit)
    shards = [matrix.shard(part, "--durations", durations) for part in (1, 2)]
    before = checksum(matrix.shop)
    junit = f"junit={matrix.folder / 'merged.xml'}"
    merged = matrix.merge(*matrix.results, *RULES, "--report", junit)
    assert checksum(matrix.shop) == before, "the project's own tree was touched"
    return matrix, whole, shards, merged


def figures(answer: Answer) -> dict[str, tuple[object, object]]:
    return {
        metric["name"]: (metric["value"], metric["reason"])
        for metric in answer.document["metrics"]
        if metric["name"] not in OF_ONE_RUN
    }


def without_chance(junit: str) -> str:
    return re.sub(r'(time|timestamp)="[^"]*"|/[^ ]*/(?=project/)|0x[0-9a-f]+', "", junit)


def test_merged_shards_have_the_figures_of_the_run_of_all_tests(
    matrix: tuple[Matrix, Answer, list[Answer], Answer],
) -> None:
    made, whole, shards, merged = matrix
    assert [shard.exit_code for shard in shards] == [0, 0], "it is the merged run that is judged"
    assert merged.exit_code == whole.exit_code == 1
    assert figures(merged) == figures(whole)
    assert merged.value("tests_failed") == 1
    assert merged.value("lines_covered") == 7
    assert list(merged.outcomes().items()) == list(whole.outcomes().items())
    for part in ("files", "gate"):
        assert merged.document[part] == whole.document[part]
    broken = [json.dumps(answer.document["uncollectable"]) for answer in (merged, whole)]
    assert without_chance(broken[0]) == without_chance(broken[1])
    files = [(made.folder / name).read_text() for name in ("whole.xml", "merged.xml")]
    assert without_chance(files[1]) == without_chance(files[0])


def test_no_test_ran_twice_and_each_shard_ran_some(
    matrix: tuple[Matrix, Answer, list[Answer], Answer],
) -> None:
    _, whole, (first, second), _ = matrix
    both = [first.outcomes(), second.outcomes()]
    assert all(both)
    assert not both[0].keys() & both[1].keys()
    assert both[0] | both[1] == whole.outcomes()
    assert all("durations of" in " ".join(each.document["notes"]) for each in (first, second))


def test_the_merged_run_alone_is_kept_in_the_history(
    matrix: tuple[Matrix, Answer, list[Answer], Answer],
) -> None:
    made, _, shards, merged = matrix
    kept = made.aqe("merging", "report", "--project", made.shop, "--list").out.splitlines()
    assert [line.partition(" ")[0] for line in kept] == [merged.document["run"]]
    asked = made.aqe("machine1", "report", "--project", made.shop, "--list")
    assert asked.exit_code == 2, f"nothing is kept of {shards[0].document['run']}"


def test_results_are_refused_where_the_files_have_changed_since(
    matrix: tuple[Matrix, Answer, list[Answer], Answer], tmp_path: Path
) -> None:
    made, _, _, _ = matrix
    shutil.copytree(made.shop, tmp_path / "shop")
    (tmp_path / "shop" / "untracked.json").write_text("{}")
    changed = tmp_path / "shop" / "shop.py"
    changed.write_text(f"{changed.read_text()}\n")
    answer = made.aqe("merging", "merge", *made.results, "--project", tmp_path / "shop")
    assert answer.exit_code == 2
    assert "the shards examined other files" in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--shard", "3/2"), "is no shard; write 1/5"),
        (("--shard", "1/2"), "--shard takes --report shard=FILE"),
        (("--shard", "1/2", "--resume"), "--resume can't go with --shard"),
        (("--shard", "1/2", "--parallel", "2"), "a shard's tests run in one session"),
        (("--shard", "1/2", "--report", "html=pages"), "write one of shard=FILE"),
        (("--durations", "times.json"), "--durations goes with --shard alone"),
    ],
)
def test_what_no_shard_can_do_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_a(): pass")
    answer = CliRunner().invoke(run, [str(tmp_path), *words])
    assert answer.exit_code == 2
    assert said in " ".join(answer.output.split())
