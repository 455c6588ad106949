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
from lionagi_qe.agents.environment.cache_directory import IN_USE, hold, kept, prune, release
from lionagi_qe.agents.environment.wheel_caches import WheelCache
from lionagi_qe.cli import cache
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
    assert [each.of for each in prune(kept()).deleted] == ["report", "/home/old"]
    assert not old.exists()
    assert new.exists()
    assert sorted(path.name for path in (root / "environments").iterdir()) == ["new", "of-new.json"]


def test_the_least_recently_used_goes_first_above_a_size(
    environment: Callable[[str, float], Path],
) -> None:
    for name, days in (("b", 2), ("c", 1), ("a", 3)):
        environment(name, days)
    assert [each.of for each in prune(kept(), most=2000).deleted] == ["/home/a"]
    told = prune(kept(), most=0, only_told=True).deleted
    assert [each.of for each in told] == ["/home/b", "/home/c"]
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
        for pruned in (prune(kept(), only_told=True), prune(kept(), unused=-1.0)):
            assert pruned.deleted == []
            assert [(each.paths[0], why) for each, why in pruned.left] == [(used, IN_USE)]
        assert used.exists()
    assert len(prune(kept()).deleted) == 1
    assert not used.exists()


def test_what_this_process_builds_is_not_deleted_although_nothing_leads_to_it_yet(
    root: Path, environment: Callable[[str, float], Path]
) -> None:
    environment("other", 1)
    building = root / "environments" / "building"
    assert hold(building, unmade=True)
    assert prune(kept(), unused=-1.0).left == []
    building.mkdir()
    assert [each.paths[0] for each, _ in prune(kept(), unused=-1.0).left] == [building]
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


def test_what_was_deleted_before_anybody_could_hold_it_is_not_held(
    root: Path, environment: Callable[[str, float], Path]
) -> None:
    directory = environment("gone", 40)
    prune(kept())
    assert not hold(directory)
    prune(kept())
    assert list((root / "environments").iterdir()) == [], "no lock is left of what is gone"


@pytest.mark.parametrize("where", ["environments", "tools", "coverage"])
def test_links_are_not_followed(root: Path, tmp_path: Path, where: str) -> None:
    others = tmp_path / "others"
    others.mkdir()
    (others / "code.py").write_text("theirs")
    (root / where).mkdir(parents=True)
    (root / where / "link").symlink_to(others)
    (root / where / "link.json").symlink_to(others / "code.py")
    prune(kept(), unused=-1.0)
    assert (others / "code.py").read_text() == "theirs"


@pytest.mark.parametrize("place", ["../others", "../../others", "gone/away"])
def test_what_lies_outside_the_cache_is_never_deleted(
    root: Path, environment: Callable[[str, float], Path], place: str
) -> None:
    environment("inside", 1)
    folder = root / "environments"
    outside = folder / place
    outside.mkdir(parents=True)
    (outside / "code.py").write_text("theirs")
    pointer = folder / "stray.json"
    pointer.write_text(json.dumps({"directory": str(outside), "project": "/home/x"}))
    pruned = prune(kept(), unused=-1.0)
    assert pointer not in folder.iterdir()
    assert pruned.left == []
    if not place.startswith("gone"):
        assert (outside / "code.py").read_text() == "theirs"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"directory": 1}'])
def test_half_a_pointer_goes_and_hinders_nothing(
    root: Path, environment: Callable[[str, float], Path], text: str
) -> None:
    environment("whole", 1)
    (root / "environments" / "half.json").write_text(text)
    assert {each.of for each in kept()} == {"?", "/home/whole"}
    assert len(prune(kept(), unused=-1.0).deleted) == 2


def test_directories_without_permissions_are_deleted_too(
    environment: Callable[[str, float], Path],
) -> None:
    closed = environment("closed", 40) / "closed"
    closed.mkdir()
    (closed / "code.py").write_text("x")
    closed.chmod(0o500)
    assert len(prune(kept()).deleted) == 1


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    for name in ("UV_CACHE_DIR", "PIP_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))

    def call(*words: str) -> str:
        answer = CliRunner().invoke(cli, ["cache", *words])
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    return call


def test_the_command_lists_what_is_kept_how_large_and_how_old(
    environment: Callable[[str, float], Path], said: Callable[..., str], tmp_path: Path
) -> None:
    environment("old", 40)
    environment("new", 1)
    (tmp_path / "UV_CACHE_DIR").mkdir()
    (tmp_path / "UV_CACHE_DIR" / "wheel").write_bytes(b"#" * 3000)
    old, new, total, wheels = said("list").splitlines()
    assert old.split() == ["1000", "B", "40.0", "d", "environment", "/home/old"]
    assert new.split() == ["1000", "B", "1.0", "d", "environment", "/home/new"]
    assert total == f"2.0 KiB in {cache_directory.root()}"
    assert wheels.startswith("2.9 KiB of uv's in ")


def test_the_list_is_had_as_json(
    environment: Callable[[str, float], Path],
    said: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment("new", 1)
    found = WheelCache("uv", tmp_path, 3000, "uv cache prune")
    monkeypatch.setattr(cache, "wheel_caches", lambda: [found])
    document = json.loads(said("list", "--json"))
    assert [each["of"] for each in document["kept"]] == ["/home/new"]
    assert document["bytes"] == 1000
    assert [(each["installer"], each["size"]) for each in document["wheels"]] == [("uv", 3000)]


def test_the_command_prunes_by_age_by_size_or_all(
    environment: Callable[[str, float], Path], said: Callable[..., str]
) -> None:
    for name, days in (("old", 40), ("new", 1), ("newest", 0.5)):
        environment(name, days)
    assert said("prune", "--dry-run").endswith("1000 B would be deleted\n")
    assert "/home/old" in said("prune")
    assert said("prune", "--older-than", "2d") == "0 B deleted\n"
    assert said("prune", "--limit", "3K").endswith("0 B deleted\n")
    assert "/home/new\n" in said("prune", "--limit", "1K")
    pruned = json.loads(said("prune", "--all", "--json"))
    assert [each["of"] for each in pruned["deleted"]] == ["/home/newest"]
    assert (pruned["left"], pruned["bytes"], pruned["dry_run"]) == ([], 1000, False)


def test_the_command_says_what_stays_since_it_is_in_use(
    environment: Callable[[str, float], Path],
) -> None:
    used = environment("used", 40)
    assert hold(used)
    answer = CliRunner().invoke(cli, ["cache", "prune", "--all"])
    assert (answer.exit_code, answer.stdout) == (0, "0 B deleted\n")
    assert answer.stderr == f"{used} stays: it is in use\n"


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
