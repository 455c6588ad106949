"""Holes that others were found to have: of each kind that could be ours, that it is not.

CVE-2025-67644 and CVE-2026-27022 (names in filters that become part of a query), CVE-2026-48121
(what is no text as an id): LangGraph's savers. CVE-2025-67221 (orjson), CVE-2025-62727 (Starlette):
what a request nests or asks for. CVE-2026-48710 (Starlette): a Host that changes what is asked for.
CVE-2026-34078 (Flatpak), CVE-2026-87766 (bubblewrap): links that a program left where its next
sandbox is made. CVE-2025-71176 (pytest): names in /tmp that everybody can guess. Bytes that make
objects (CVE-2025-64439, CVE-2026-28277, CVE-2026-48775) are in test_langgraph_checkpoints.py, a
prefix that finds its neighbours in test_langgraph_store.py, bytes before TLS (CVE-2021-23222,
CVE-2024-10977) in test_transport_attacks.py, links in archives in test_shipped.py.
"""

from __future__ import annotations

import re
import sys
import tomllib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from tests.backends import on, url_of
from tests.web.conftest import client_of

from lionagi_qe import errors, open_memory
from lionagi_qe.agents.environment import process
from lionagi_qe.agents.project.bubblewrap import Bubblewrap
from lionagi_qe.agents.project.isolation import WAY_VARIABLE, isolated
from lionagi_qe.agents.project.workspace import Workspace
from lionagi_qe.integrations.langgraph_checkpoints import FleetSaver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lionagi_qe import Memory
    from lionagi_qe.agents.project.isolated_program import IsolatedProgram, Launch

ROOT = Path(__file__).parents[2]
# The least version without a hole that we could be reached through.
MENDED = {
    "orjson": (3, 11, 6),
    "starlette": (0, 49, 1),
    "jinja2": (3, 1, 6),
    "langgraph-checkpoint": (4, 1, 1),
    "mcp": (1, 23, 0),
}
INJECTIONS = [
    "x') OR 1=1 --",
    'x" OR "1"="1',
    "$.x') UNION SELECT value FROM entries --",
    "*}|@x:{*",
    "x]",
    "..",
    "%",
    "_",
    "\\",
]


def test_no_version_is_let_in_that_has_one_of_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    named = [*project["dependencies"], *(each for extra in extras.values() for each in extra)]
    for package, least in MENDED.items():
        floors = [re.fullmatch(rf"{package}>=([\d.]+)(;.*)?", each) for each in named]
        found = [tuple(map(int, floor[1].split("."))) for floor in floors if floor]
        assert found, package
        assert all(floor >= least for floor in found), package


@pytest.fixture(scope="module", params=on("sqlite", "postgresql", "redis", "cluster"))
async def memory(request: pytest.FixtureRequest) -> AsyncIterator[Memory]:
    async with open_memory(url_of(request), fleet=f"holes-{uuid.uuid4().hex[:12]}") as memory:
        yield memory


async def put(saver: FleetSaver, thread: Any) -> None:
    where: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
    await saver.aput(where, empty_checkpoint(), {"source": "loop", "step": 1, "parents": {}}, {})


async def test_names_in_filters_and_what_is_no_text_find_nothing_of_others(memory: Memory) -> None:
    saver = FleetSaver(memory)
    await put(saver, "victim")
    for text in INJECTIONS:
        found = [each async for each in saver.alist(None, filter={text: 1})]
        found += [each async for each in saver.alist(None, filter={"source": text})]
        where: Any = {"configurable": {"thread_id": text, "checkpoint_ns": text}}
        found += [each async for each in saver.alist(where)]
        assert found == [], text
    for thread in ({"$ne": None}, {"$gt": ""}, ["victim"], ("victim",), b"victim", True, None):
        where = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
        try:
            found = [each async for each in saver.alist(where)]
            found += [each for each in [await saver.aget_tuple(where)] if each is not None]
        except errors.AqeError:
            continue
        assert found == [], thread


async def test_what_is_nested_without_end_is_refused(memory: Memory) -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(errors.InvalidValueError, match="nested deeper"):
        await memory.store("aqe/deep", deep)
    while isinstance(deep, list):
        # Python itself takes it apart by recursion.
        (deep,) = deep


async def test_ranges_and_hosts_of_a_request_choose_nothing() -> None:
    async with open_memory("memory://") as memory, client_of(memory, hosts=["console.test"]) as web:
        many = "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 4_000, 2))
        answer = await web.get("/static/console.css", headers={"range": many})
        whole = await web.get("/static/console.css")
        assert whole.status_code == 200
        assert len(answer.content) <= len(whole.content) + 200 * 2_000
        for host in ("evil.test", "console.test/healthz?", "a@evil.test", "evil.test#console.test"):
            assert (await web.get("/", headers={"host": host})).status_code == 421, host


async def test_no_mount_is_made_below_what_a_program_may_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[str]] = []
    launch = Bubblewrap.launch

    def noted(self: Bubblewrap, given: IsolatedProgram) -> Launch:
        found = launch(self, given)
        made.append(found.command)
        return found

    monkeypatch.setattr(Bubblewrap, "launch", noted)
    monkeypatch.setenv(WAY_VARIABLE, "bubblewrap")
    with (
        Workspace.copy_of(tmp_path) as workspace,
        workspace.fork("one") as fork,
        isolated(wanted=True),
    ):
        for place, installs in (
            (workspace.source, None),
            (workspace.pristine, None),
            (workspace.pristine, [workspace.scans]),
            (workspace.root, [workspace.root / "environment"]),
            (fork.source, [fork.artifacts / "distributions"]),
        ):
            for each in installs or ():
                each.mkdir(exist_ok=True)
            completed = await process.run(
                [sys.executable, "-I", "-c", ""],
                cwd=place,
                env={},
                log=workspace.artifacts / "log",
                installs=installs,
            )
            assert completed.exit_code == 0, completed.output
    for command in made[-5:]:
        writable: list[Path] = []
        for word, _, place in zip(command, command[1:], command[2:], strict=False):
            if word in {"--bind", "--ro-bind-try", "--symlink"}:
                assert [each for each in writable if each in Path(place).parents] == []
            if word == "--bind":
                writable.append(Path(place))
        assert writable


async def test_temporary_files_of_an_examined_project_have_no_name_to_guess(
    tmp_path: Path,
) -> None:
    with Workspace.copy_of(tmp_path) as one, Workspace.copy_of(tmp_path) as other:
        assert one.temporary != other.temporary
        assert one.root.stat().st_mode & 0o777 == 0o700
