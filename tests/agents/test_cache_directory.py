"""What the cache directory keeps is deleted by age and size, and never while it is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lionagi_qe.agents.environment import cache_directory
from lionagi_qe.agents.environment.cache_directory import hold, kept, prune, release
from lionagi_qe.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY = 86400.0


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path / "aqe"
    for path in list(cache_directory._held):
        release(path)


@pytest.fixture
def environment(root: Path) -> Callable[[str, float], Path]:
    """Make one of 1,000 bytes that was last used so many days ago."""

    def call(name: str, days: float) -> Path:
        directory = root / "environments" / name
        directory.mkdir(parents=True)
        (directory / "code.py").write_bytes(b"#" * 1000)
        pointer = root / "environments" / f"of-{name}.json"
        pointer.write_text(json.dumps({"directory": str(directory), "project": f"/home/{name}"}))
        then = time.time() - days * DAY
        os.utime(pointer, (then, then))
        return directory

    return call


def test_what_was_not_used_for_long_is_deleted_and_the_rest_stays(
    root: Path, environment: Callable[[str, float], Path]
) -> None:
    old, new = environment("old", 40), environment("new", 1)
    (root / "coverage").mkdir()
    report = root / "coverage" / "x.report.json"
    report.write_text("{}")
    os.utime(report, (0, 0))
    assert [each.of for each in prune(kept())] == ["report.json", "/home/old"]
    assert not old.exists()
    assert new.exists()
    assert sorted(path.name for path in (root / "environments").iterdir()) == ["new", "of-new.json"]


def test_the_least_recently_used_goes_first_above_a_size(
    environment: Callable[[str, float], Path],
) -> None:
    for name, days in (("b", 2), ("c", 1), ("a", 3)):
        environment(name, days)
    assert [each.of for each in prune(kept(), most=2000)] == ["/home/a"]
    assert [each.of for each in prune(kept(), most=0, only_told=True)] == ["/home/b", "/home/c"]
    assert len(kept()) == 2


def test_what_another_process_uses_stays_and_goes_when_that_has_ended(
    environment: Callable[[str, float], Path],
) -> None:
    used = environment("used", 40)
    program = (
        "import sys; from pathlib import Path\n"
        "from lionagi_qe.agents.environment.cache_directory import hold\n"
        "print(hold(Path(sys.argv[1])), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, used],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert prune(kept(), only_told=True) == prune(kept()) == []
        assert used.exists()
    assert len(prune(kept())) == 1
    assert not used.exists()


def test_what_this_process_builds_is_not_deleted_although_nothing_leads_to_it_yet(
    root: Path, environment: Callable[[str, float], Path]
) -> None:
    environment("other", 1)
    building = root / "environments" / "building"
    assert hold(building)
    building.mkdir()
    assert [each.of for each in prune(kept(), unused=-1.0)] == ["/home/other"]
    assert building.exists()


def test_who_waited_for_one_that_deleted_it_is_told_that_it_is_gone(
    environment: Callable[[str, float], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = environment("gone", 40)
    is_current = cache_directory._is_current

    def deleted_meanwhile(lock: int, path: Path) -> bool:
        monkeypatch.setattr(cache_directory, "_is_current", is_current)
        path.with_name(f"{path.name}.lock").unlink()
        return is_current(lock, path)

    monkeypatch.setattr(cache_directory, "_is_current", deleted_meanwhile)
    assert not hold(directory)
    assert hold(directory), "it is there after all: only the lock was another one"


def test_the_command_lists_and_prunes(environment: Callable[[str, float], Path]) -> None:
    environment("old", 40)
    environment("new", 1)

    def said(*words: str) -> str:
        answer = CliRunner().invoke(cli, ["cache", *words])
        assert answer.exit_code == 0, answer.output
        return answer.output

    assert "1000 B" in said("list")
    assert said("list").endswith(f"2.0 KiB in {cache_directory.root()}\n")
    assert [each["of"] for each in json.loads(said("list", "--json"))] == ["/home/old", "/home/new"]
    assert "/home/old" in said("prune", "--dry-run")
    assert "/home/old" in said("prune")
    assert said("prune", "--older-than", "2d") == "0 B deleted\n"
    assert said("prune", "--limit", "1K").endswith("0 B deleted\n")
    assert said("prune", "--older-than", "0s").endswith("1000 B deleted\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [(("--older-than", "soon"), "is no age"), (("--limit", "much"), "is no size")],
)
def test_what_is_no_age_or_size_is_told_with_what_is_one(
    words: tuple[str, ...], complaint: str
) -> None:
    answer = CliRunner().invoke(cli, ["cache", "prune", *words])
    assert answer.exit_code == 2
    assert complaint in answer.output
