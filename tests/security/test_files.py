"""What the package writes is whole, its owner's alone, and never where a link leads."""

from __future__ import annotations

import ast
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import programs

import lionagi_qe
from lionagi_qe import files
from lionagi_qe.errors import ConfigurationError, InvalidValueError
from lionagi_qe.fleet.request import default_memory
from lionagi_qe.persistence import open_memory, transfer

if TYPE_CHECKING:
    from collections.abc import Generator

ANOTHER = 12_345


@pytest.fixture(autouse=True)
def _careless() -> Generator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path | str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in folder.iterdir()}


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a link or file be another user's."""
    if os.geteuid() == 0:
        os.lchown(path, ANOTHER, ANOTHER)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: ANOTHER)


async def test_a_memory_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "for it"
    async with open_memory(f"sqlite:///{folder}/m.db") as memory:
        await memory.store("aqe/a", 1)
        found = modes(folder)
    assert found == {"m.db": 0o600, "m.db-wal": 0o600, "m.db-shm": 0o600}
    assert (mode(folder), mode(folder.parent)) == (0o700, 0o700)


async def test_a_memory_that_everybody_could_read_is_closed_to_them_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    async with open_memory(url) as memory:
        await memory.store("aqe/a", 1)
        for name in modes(tmp_path):
            (tmp_path / name).chmod(0o664)
        with caplog.at_level(logging.WARNING):
            async with open_memory(url, migrate=False) as look:
                assert await look.retrieve("aqe/a") == 1
        assert set(modes(tmp_path).values()) == {0o600}
        # Whoever opened it before is not disturbed.
        await memory.store("aqe/b", 2)
    assert "other users of this host could read it (mode 664)" in caplog.text


async def test_a_memory_that_is_shared_with_its_group_stays_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    async with open_memory(url) as memory:
        await memory.store("aqe/a", 1)
    (tmp_path / "m.db").chmod(0o660)
    async with open_memory(url) as memory:
        await memory.store("aqe/a", 2)
        assert set(modes(tmp_path).values()) == {0o660}


async def test_another_programs_database_keeps_its_mode(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "theirs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="another program"):
        await open_memory(f"sqlite:///{path}").open()
    assert mode(path) == 0o644


async def test_a_link_of_another_user_is_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_memory(f"sqlite:///{tmp_path}/m.db") as memory:
        await memory.store("aqe/a", 1)
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "m.db")
    async with open_memory(f"sqlite:///{link}") as memory:
        assert await memory.retrieve("aqe/a") == 1, "a link of one's own is followed"
    dangling = tmp_path / "dangling.db"
    dangling.symlink_to(tmp_path / "nothing.db")
    with pytest.raises(ConfigurationError, match="a link to nothing"):
        await open_memory(f"sqlite:///{dangling}").open()
    give_away(link, monkeypatch)
    for migrate in (True, False):
        with pytest.raises(ConfigurationError, match="a link that another user made"):
            await open_memory(f"sqlite:///{link}", migrate=migrate).open()


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("before", [True, False])
async def test_what_another_user_plants_beside_a_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, *, before: bool
) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    if not before:
        async with open_memory(url) as memory:
            await memory.store("aqe/a", 1)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    planted = tmp_path / f"m.db{end}"
    planted.symlink_to(victim)
    with pytest.raises(ConfigurationError, match=f"m.db{end}: is no file"):
        await open_memory(url).open()
    assert victim.read_text() == "precious"
    planted.unlink()
    planted.touch(0o666)
    give_away(planted, monkeypatch)
    with pytest.raises(ConfigurationError, match=f"m.db{end}: another user made it"):
        await open_memory(url).open()


async def test_a_memory_of_another_user_that_everybody_reads_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.db"
    async with open_memory(f"sqlite:///{path}") as memory:
        await memory.store("aqe/a", 1)
    path.chmod(0o666)
    give_away(path, monkeypatch)
    for migrate in (True, False):
        with pytest.raises(ConfigurationError, match=r"belongs to another user.*mode 666"):
            await open_memory(f"sqlite:///{path}", migrate=migrate).open()
    path.chmod(0o660)
    async with open_memory(f"sqlite:///{path}") as memory:
        assert await memory.retrieve("aqe/a") == 1, "its owner shares it with a group"


@pytest.mark.parametrize("name", ["OUT", "OUT.gz", "OUT.zst"])
async def test_an_export_follows_no_link(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    out = tmp_path / name
    for planted in (out, tmp_path / f"{name}.part"):
        planted.symlink_to(victim)
    async with open_memory("memory://") as memory:
        await memory.store("aqe/a", 1)
        tally = await transfer.export(memory, out)
        assert (await transfer.restore(out, memory)).read == tally.stored == 1
    assert victim.read_text() == "precious"
    assert not out.is_symlink()
    assert mode(out) == 0o600
    assert set(modes(tmp_path)) == {name, f"{name}.part", "victim"}


async def test_a_failed_export_leaves_the_last_one(tmp_path: Path) -> None:
    out = tmp_path / "OUT"
    async with open_memory("memory://") as memory:
        await memory.store("aqe/a", 1)
        await transfer.export(memory, out)
        before = out.read_bytes()

        def full(tally: transfer.Tally) -> None:
            raise OSError(28, f"No space left on device after {tally.read}")

        with pytest.raises(OSError, match="No space"):
            await transfer.export(memory, out, progress=full)
    assert out.read_bytes() == before
    assert set(modes(tmp_path)) == {"OUT"}


def test_an_export_goes_into_what_is_open_already(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    assert programs.call(*programs.AQE, "memory", "set", "aqe/a", "1", "--memory", url).code == 0
    done = programs.call(*programs.AQE, "memory", "export", "/dev/stdout", "--memory", url)
    assert done.code == 0, done.complaints
    assert '"key":"aqe/a"' in done.output
    assert Path("/dev/stdout").is_symlink()
    assert programs.call(*programs.AQE, "memory", "export", "/dev/null", "--memory", url).code == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.fixture
def pipe(tmp_path: Path) -> Generator[Path]:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    # Else who writes to it would wait for a reader.
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path
    os.close(reader)


def test_a_pipe_of_another_user_is_not_written_to(
    pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_text(pipe, "mine")
    give_away(pipe, monkeypatch)
    with pytest.raises(PermissionError, match="another user"):
        files.write_text(pipe, "secret")


def test_a_link_of_another_user_chooses_no_pipe_or_device(
    tmp_path: Path, pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "OUT"
    out.symlink_to(pipe)
    files.write_text(out, "a link of one's own")
    give_away(out, monkeypatch)
    with pytest.raises(PermissionError, match="another user"):
        files.write_text(out, "secret")


def test_a_pipe_that_is_exchanged_for_a_file_leaves_the_file_as_it_is(
    tmp_path: Path, pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    real = os.open

    def exchanged(path: Path, *arguments: int) -> int:
        pipe.unlink()
        pipe.symlink_to(victim)
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", exchanged)
    with pytest.raises(PermissionError, match="exchanged"):
        files.write_text(pipe, "secret")
    assert victim.read_text() == "precious"


def test_errors_name_the_file_that_was_asked_for(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "OUT", tmp_path):
        with pytest.raises(OSError, match=str(path)) as caught:
            files.write_text(path, "")
        assert caught.value.filename == str(path)


def test_a_report_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    os.umask(0o022)
    report = tmp_path / "report.sarif"
    files.write_text(report, "one", "shared")
    assert (report.read_text(), mode(report)) == ("one", 0o644)
    report.chmod(0o664)
    files.write_text(report, "two", "shared")
    assert (report.read_text(), mode(report)) == ("two", 0o664), "as it was before"


def test_a_checkpoint_is_its_owners_alone_and_replaces_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = tmp_path / "checkpoint"
    path.symlink_to(victim)
    transfer.Checkpoint(path, {}).save("7", transfer.Tally())
    assert (mode(path), victim.read_text()) == (0o600, "precious")
    assert transfer.Checkpoint(path, {}).load() == ("7", transfer.Tally())


def test_state_and_cache_are_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    wide = tmp_path / "state" / "aqe"
    wide.mkdir(parents=True)
    path = Path(default_memory(tmp_path, "shop").removeprefix("sqlite:///"))
    if path.is_relative_to(wide):
        assert mode(wide) == 0o700, "one of an earlier version is mended"
    assert {mode(path.parent), mode(path.parent.parent)} == {0o700}
    assert mode(tmp_path / "state") == 0o777, "what isn't ours stays as it is"


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/etc/passwd", "a\0b"])
def test_a_name_that_was_sent_leads_nowhere_else(name: str) -> None:
    with pytest.raises(InvalidValueError, match="no name of a file"):
        files.check_name(name)


# Where files are written otherwise than by lionagi_qe.files, and why that is right.
ELSEWHERE = {
    "agents/coverage/data.py": "the examined copy",
    "agents/coverage/settings.py": "the examined copy",
    "agents/environment/cache_directory.py": "the cache directory, mode 0700, and its locks",
    "agents/environment/installer.py": "the examined copy's scratch directory, mode 0700",
    "agents/environment/local_projects.py": "the examined copy's scratch directory, mode 0700",
    "agents/environment/lock_files.py": "the examined copy's scratch directory",
    "agents/environment/process.py": "the examined copy's scratch directory",
    "agents/environment/built.py": "an environment in the cache directory, mode 0700",
    "agents/environment/tool_overlay.py": "tools in the cache directory, mode 0700",
    "agents/execution/parallel.py": "the examined copy's scratch directory",
    "agents/execution/rewritten_tests.py": "the examined copy, and a file of lionagi_qe.files",
    "agents/execution/session_run.py": "the examined copy's scratch directory",
    "agents/generation/validation.py": "the examined copy",
    "agents/mutation/runner.py": "the examined copy",
    "agents/package_check/trial.py": "the examined copy's scratch directory",
    "agents/project/built_files.py": "the examined copy, and the cache directory",
    "agents/project/container_engine.py": "a scratch directory of its own, mode 0700",
    "agents/project/restoring.py": "the examined copy, through no link",
    "agents/project/scratch.py": "mkdtemp, O_EXCL",
    "agents/project/search_ends.py": "the examined copy's scratch directory",
    "agents/project/tree_copy.py": "the examined copy",
    "agents/project/version_control.py": "the examined copy",
    "agents/project/workspace.py": "the examined copy",
    "agents/selection/prioritization.py": "the examined copy's scratch directory",
    "agents/type_check/agent.py": "the examined copy, through no link",
    "bench/history.py": "a file that the user names, a line at its end",
    "bench/learn_eval.py": "what make learn-eval publishes",
    "cli/generate.py": "tests for the user's tree, O_EXCL, for whom the umask lets",
    "cli/main.py": "/dev/null",
    "fleet/executors/dask_worker.py": "the directory of a worker of Dask, which is its user's",
    "fleet/executors/task_process.py": "a directory of mkdtemp",
    "fleet/report/html/pages.py": "a new directory, of lionagi_qe.files",
    "fleet/source_extraction.py": "the examined copy",
    "persistence/transfer/archive.py": "compression around a file of lionagi_qe.files",
}
_METHODS = {"write_text", "write_bytes", "mkdir", "rename", "symlink_to", "touch", "extractall"}
_FUNCTIONS = {"shutil.copy2", "shutil.copytree", "shutil.move", "shutil.copyfile", "os.replace"}


def test_every_place_that_writes_files_is_decided_on() -> None:
    root = Path(lionagi_qe.__file__).parent
    # The test kit's servers write in directories of mkdtemp; what is injected runs in the copy.
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] != "testing" and path.parent.name != "inject"
        if any(map(_writes, ast.walk(ast.parse(path.read_text()))))
    }
    assert found - {"files.py"} == set(ELSEWHERE)


def _writes(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    if called in _FUNCTIONS:
        return True
    if called.rpartition(".")[2] == "open":
        words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        return any(isinstance(word, str) and word[:1] in {"w", "a", "x"} for word in words) or (
            "O_CREAT" in ast.unparse(node)
        )
    # The memory's touch is none of files.
    return (
        isinstance(node.func, ast.Attribute)
        and node.func.attr in _METHODS
        and not called.startswith(("files.", "self._memory.", "tx."))
        and not (node.func.attr == "touch" and "memory" in called.lower())
    )
