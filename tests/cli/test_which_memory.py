"""Which memory a command means where none is named: the one that runs on the project keep."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from tests import programs

from lionagi_qe import open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.fleet.request import request_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Aqe = Callable[..., programs.Done]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "src").mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "corner-shop"\n')
    return folder


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    state = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.delenv("LIONAGI_QE_MEMORY", raising=False)
    return state


@pytest.fixture
def aqe(state: Path) -> Aqe:
    def call(*arguments: object, cwd: Path, env: dict[str, str] | None = None) -> programs.Done:
        own = {"XDG_STATE_HOME": str(state)} | (env or {})
        return programs.call(*programs.AQE, *arguments, cwd=cwd, env=own)

    return call


@pytest.mark.usefixtures("state")
def test_it_is_the_memory_of_the_runs_on_the_project_from_anywhere_in_it(
    aqe: Aqe, shop: Path
) -> None:
    url = request_for(shop, agents=[]).memory_url

    async def keep() -> None:
        async with open_memory(url) as memory:
            await memory.store("aqe/kept", 7)
            await WorkQueue(memory, "reviews").put(1)

    asyncio.run(keep())
    said = f"memory: {url} (of the project in {shop})\n"
    assert aqe("memory", "get", "aqe/kept", cwd=shop) == (0, "7\n", said)
    assert aqe("memory", "ls", cwd=shop / "src") == (0, "aqe/kept\n", said)
    assert aqe("memory", "ls", "--project", shop, cwd=shop.parent) == (0, "aqe/kept\n", said)
    assert "reviews" in aqe("queue", "ls", cwd=shop).output
    assert aqe("doctor", cwd=shop).output.startswith(url)
    assert json.loads(aqe("learn", "export", cwd=shop).output) == {}
    assert aqe("memory", "set", "aqe/kept", "8", cwd=shop).code == 0
    assert aqe("memory", "get", "aqe/kept", cwd=shop).output == "8\n"


def test_what_is_named_goes_first_and_is_not_told_back(
    aqe: Aqe, shop: Path, tmp_path: Path
) -> None:
    named = f"sqlite:///{tmp_path}/named.db"
    variable = {"LIONAGI_QE_MEMORY": f"sqlite:///{tmp_path}/variable.db"}
    assert aqe("memory", "set", "aqe/a", "1", "--memory", named, cwd=shop).complaints == ""
    assert aqe("memory", "set", "aqe/b", "1", cwd=shop, env=variable).complaints == ""
    assert aqe("memory", "ls", "--memory", named, cwd=shop, env=variable).output == "aqe/a\n"
    assert aqe("memory", "ls", cwd=shop, env=variable).output == "aqe/b\n"
    assert aqe("memory", "set", "aqe/c", "1", "--project", shop, cwd=shop, env=variable).code == 0
    assert aqe("memory", "ls", cwd=shop).output == "aqe/c\n"
    both = aqe("memory", "ls", "--project", shop, "--memory", named, cwd=shop)
    assert both.code == 2
    assert "give one of them" in both.complaints


def test_where_nothing_is_nothing_is_made_by_looking(aqe: Aqe, shop: Path, state: Path) -> None:
    done = aqe("memory", "ls", cwd=shop)
    assert (done.code, done.output) == (3, "")
    assert f"no memory of the project in {shop} yet: aqe run makes one" in done.complaints
    assert list(state.rglob("*.db")) == []
    assert sorted(path.name for path in shop.iterdir()) == ["pyproject.toml", "src"]


def test_what_a_program_made_here_is_found_until_the_project_has_its_own(
    aqe: Aqe, shop: Path
) -> None:
    program = (
        "import asyncio, lionagi_qe\n"
        "async def main():\n"
        "    async with lionagi_qe.open_memory() as memory: await memory.store('aqe/a', 1)\n"
        "asyncio.run(main())"
    )
    assert programs.call("-c", program, cwd=shop).code == 0
    found = aqe("memory", "ls", cwd=shop)
    assert (found.code, found.output) == (0, "aqe/a\n")
    assert "made by a program in this directory" in found.complaints
    assert aqe("memory", "set", "aqe/own", "1", "--project", shop, cwd=shop).code == 0
    assert aqe("memory", "ls", cwd=shop).output == "aqe/own\n"


def test_a_queue_that_is_not_there_is_told(aqe: Aqe, shop: Path) -> None:
    aqe("memory", "set", "aqe/a", "1", cwd=shop)
    done = aqe("queue", "stats", "nosuch", "--json", cwd=shop)
    assert json.loads(done.output)["ready"] == 0
    assert "no queue 'nosuch' has jobs; there is none" in done.complaints


def test_a_run_is_of_the_project_in_the_working_directory(aqe: Aqe, shop: Path) -> None:
    (shop / "test_shop.py").write_text("def test_it(): assert True\n")
    done = aqe("select", "--base", "main", "--quiet", cwd=shop)
    assert "git" in done.complaints, "it looked at this project"
    empty = shop.parent / "empty"
    empty.mkdir()
    done = aqe("run", cwd=empty)
    assert done.code == 2
    assert "there is no project in the working directory" in done.complaints


def test_a_missing_extra_is_told_by_the_command_that_brings_it(aqe: Aqe, shop: Path) -> None:
    (shop / "mcp.py").write_text("raise ModuleNotFoundError('no mcp', name='mcp')\n")
    done = aqe("mcp", cwd=shop, env={"PYTHONPATH": str(shop)})
    assert (done.code, done.output) == (2, "")
    assert "pip install 'aqe-fleet[mcp]'" in done.complaints.splitlines()[-1]
