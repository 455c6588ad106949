"""What a run leaves in the memory, and how the next one is compared with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lionagi_qe import open_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

# Whatever a run compares and keeps goes the same way, so the fastest agent stands for all.
QUICK = ("--agents", "test-executor")
SHOP = """
    def price(amount):
        return amount

    def refund(amount):
        return -amount
"""
FIRST = """
    import shop

    def test_kept(): assert shop.price(1) == 1
    def test_lost(): pass
    def test_fixed(): assert False
    def test_broken(): pass
"""
SECOND = """
    import shop

    def test_kept(): assert shop.price(1) == 1
    def test_added(): assert shop.refund(1) == -1
    def test_fixed(): pass
    def test_broken(): assert False
"""


def test_fleets_on_one_memory_do_not_see_each_others_runs(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    root = project({"test_shop.py": "def test_kept(): pass\n"})
    memory = (*QUICK, "--memory", f"sqlite:///{tmp_path / 'shared.db'}")
    first = examine(root, *memory, "--fleet", "team-a")
    other = examine(root, *memory, "--fleet", "team-b")
    again = examine(root, *memory, "--fleet", "team-a")

    assert other.document["comparison"] is None
    assert again.document["comparison"]["previous"] == first.document["run"]


def test_the_second_run_tells_what_changed_and_the_third_since_when(
    examine: Examine, project: Write
) -> None:
    first = examine(project({"shop.py": SHOP, "test_shop.py": FIRST}))
    more = f"{SHOP}\n    def cancel(amount):\n        return 0\n"
    root = project({"shop.py": more, "test_shop.py": SECOND})
    second = examine(root)

    assert first.document["comparison"] is None
    comparison = second.document["comparison"]
    assert comparison["previous"] == first.document["run"]
    assert comparison["added"] == ["test_shop.py::test_added"]
    assert comparison["lost"] == ["test_shop.py::test_lost"]
    assert comparison["fixed"] == ["test_shop.py::test_fixed"]
    assert comparison["newly_failing"] == ["test_shop.py::test_broken"]
    assert comparison["figures"]["line_coverage"] == [75.0, 83.33]
    assert [each.partition(":")[0] for each in comparison["newly_untested"]] == ["cancel (shop.py"]
    assert comparison["failing_since"] == {}
    third = examine(root)
    told = third.document["comparison"]
    since = {"run": second.document["run"], "commit": second.document["commit"], "runs": 2}
    assert told["failing_since"] == {"test_shop.py::test_broken": since}
    gaps = {gap.partition(" ")[0]: since for gap, since in told["untested_since"].items()}
    assert gaps["cancel"] == since


def test_a_test_that_got_slower_than_its_past_is_told(examine: Examine, project: Write) -> None:
    waits = "import time\n\ndef test_wait(): time.sleep({})\ndef test_other(): pass\n"
    root = project({"test_wait.py": waits.format(0)})
    for _ in range(3):
        assert examine(root, *QUICK).exit_code == 0

    answer = examine(project({"test_wait.py": waits.format(1.5)}), *QUICK)

    slower = answer.document["comparison"]["slower"]
    assert [test["id"] for test in slower] == ["test_wait.py::test_wait"]
    assert slower[0]["seconds"] >= 1.5
    assert slower[0]["runs"] == 3


async def test_every_figure_is_kept_in_the_memory_that_is_named(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'channels.db'}"
    answer = examine(project({"shop.py": SHOP, "test_shop.py": FIRST}), "--memory", url)

    async with open_memory(url) as memory:
        prefix = f"aqe/runs/shop/{answer.document['run']}/"
        kept = [entry async for entry in memory.scan(prefix)]
        stored = {entry.key.removeprefix(prefix): entry.value for entry in kept}
        expected = {
            f"{metric.pop('agent')}/{metric['name']}": metric
            for metric in answer.document["metrics"]
        }
        assert stored == expected
        history = await memory.retrieve("aqe/tests/shop/test_shop.py::test_kept")
        assert history["id"] == "test_shop.py::test_kept"
        record = history["records"][0]
        assert (record["run"], record["outcome"]) == (answer.document["run"], "passed")


def test_projects_do_not_see_each_others_runs(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'channels.db'}"
    files = {"test_a.py": "def test_a(): pass\n"}
    root = project({**files, "pyproject.toml": '[tool.aqe]\nproject = "one/shop"\n'})
    examine(root, *QUICK, "--memory", url)
    (root / "pyproject.toml").write_text('[tool.aqe]\nproject = "one"\n')

    assert examine(root, *QUICK, "--memory", url).document["comparison"] is None


def test_the_default_memory_is_outside_the_project(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    answer = examine(project({"test_a.py": "def test_a(): pass\n"}), *QUICK)

    assert str(tmp_path / "state") in answer.document["memory"]
    assert list((tmp_path / "state").rglob("*.db"))


def test_the_variable_names_the_memory(examine: Examine, project: Write, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'channels.db'}"
    root = project({"test_a.py": "def test_a(): pass\n"})

    assert examine(root, *QUICK, env={"LIONAGI_QE_MEMORY": url}).document["memory"] == url
    assert (tmp_path / "channels.db").exists()
