"""Progress of long commands: one form for all, on standard error alone, gone in the end."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from tests import programs

from lionagi_qe.cli import ask, progress
from lionagi_qe.cli.main import cli, main
from lionagi_qe.cli.output import say
from lionagi_qe.cli.status_line import StatusLine
from lionagi_qe.errors import AqeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY = "--memory {url}"
PROJECT = "{project} --memory {url} --python {no_python}"
# Each command that may take long -> words with which it is called here. Most end by an error, which
# leaves nothing of the line behind, either.
LONG = {
    "ask": f"{PROJECT} why --model openai/x",
    "bench": "redis://127.0.0.1:1",
    "cache list": "",
    "cache prune": "--dry-run",
    "doctor": "{url}",
    "flaky": PROJECT,
    "gate": "{project} --memory {url}",
    "generate": PROJECT,
    "history": "{project} --memory {url}",
    "learn eval": "{history} --seeds 1",
    "learn export": MEMORY,
    "learn import": "{tables} --memory {url}",
    "learn report": MEMORY,
    "learn reset": "nobody --yes --memory {url}",
    "learn show": MEMORY,
    "memory clear": f"nothing {MEMORY}",
    "memory copy": "{url} sqlite:///{target}",
    "memory export": f"{{archive}} {MEMORY}",
    "memory import": f"{{archive}} {MEMORY}",
    "memory ls": f"--long {MEMORY}",
    "memory recall": f"words --index words {MEMORY}",
    "memory reindex": f"words {MEMORY}",
    "memory rekey": "{url}",
    "memory search": f"* {MEMORY}",
    "memory stats": MEMORY,
    "memory verify": "{url} {url}",
    "merge": "{archive} --project {project} --memory {url}",
    "mutate": PROJECT,
    "queue dead": f"jobs --group {MEMORY}",
    "queue ls": MEMORY,
    "queue purge": f"jobs --all {MEMORY}",
    "queue retry": f"jobs --all {MEMORY}",
    "repeat": f"{PROJECT} test_it.py::test_it",
    "report": "--project {project} --memory {url}",
    "run": PROJECT,
    "select": PROJECT,
}
# Of one entry or job, of what fits on a page, or computed.
SHORT = {
    "capacity",
    "completion",
    "memory get",
    "memory grant",
    "memory grants",
    "memory indexes",
    "memory revoke",
    "memory rm",
    "memory set",
    "queue batch",
    "queue batches",
    "queue cancel",
    "queue cancel-batch",
    "queue limit",
    "queue limits",
    "queue schedule",
    "queue schedules",
    "queue show",
    "queue stats",
    "queue unschedule",
}
UNTIL_TOLD = {"mcp", "memory watch", "serve", "worker"}
HISTORY = (
    "Id;Name;Duration;CalcPrio;LastRun;LastResults;Verdict;Cycle\n"
    "1;a;1;0;2016-01-01 00:00;[];1;1\n2;b;1;0;2016-01-01 00:00;[];0;1\n"
)


def leaves(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


class Terminal(io.StringIO):
    """A terminal, and what is left on its screen."""

    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> str:
        return rendered(self.getvalue())


def rendered(written: str) -> str:
    """Return what a screen shows of that: a carriage return goes back to the line's beginning."""
    lines: list[str] = []
    for line in written.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return "\n".join(lines).strip("\n")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What commands are about."""
    folder = tmp_path_factory.mktemp("places")
    project = folder / "shop"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    no_python = folder / "python"
    no_python.write_text("#!/bin/sh\nexit 1\n")
    no_python.chmod(0o755)
    (folder / "history.csv").write_text(HISTORY)
    (folder / "tables.json").write_text("{}")
    found = {
        "project": str(project),
        "no_python": str(no_python),
        "history": str(folder / "history.csv"),
        "tables": str(folder / "tables.json"),
        "archive": str(folder / "archive.jsonl"),
        "target": str(folder / "target.db"),
        "url": f"sqlite:///{folder / 'memory.db'}",
    }
    assert main(["memory", "set", "aqe/a", "1", "--memory", found["url"]]) == 0
    assert main(["memory", "export", found["archive"], "--memory", found["url"]]) == 0
    return found


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "LIONAGI_QE_MEMORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def called(words: str, places: dict[str, str], stderr: io.StringIO) -> str:
    """Call a command here; return its standard output."""
    written = io.StringIO()
    with (
        contextlib.redirect_stdout(written),
        contextlib.redirect_stderr(stderr),
        pytest.MonkeyPatch.context() as kept,
    ):
        kept.setattr(logging, "lastResort", logging.lastResort)
        main([word.format(**places) for word in words.split()])
    return written.getvalue()


def test_every_command_is_known_as_long_or_not_and_all_long_ones_can_be_quiet() -> None:
    found = dict(leaves(cli))
    assert found.keys() == LONG.keys() | SHORT | UNTIL_TOLD
    for name, command in found.items():
        has_quiet = any("--quiet" in each.opts for each in command.params)
        assert has_quiet == (name in LONG or name == "worker"), name


@pytest.mark.parametrize("name", LONG)
def test_a_long_command_tells_on_a_terminal_what_it_does_and_leaves_nothing_of_that(
    name: str, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0)
    if name == "ask":
        # LionAGI alone takes seconds to import.
        monkeypatch.setattr(ask, "check_model", lambda _: None)
        monkeypatch.setattr(ask, "_answer", _refuses)
    words = f"{name} {LONG[name]}"
    terminal = Terminal()
    written = called(words, places, terminal)
    told = [part.strip() for part in terminal.getvalue().split("\r") if "\n" not in part]
    first = next(filter(None, told))
    assert re.fullmatch(r"starting|(?:fleet: )?[a-z]+ [^,]*(?:, \d.*)?", first)
    assert first not in terminal.screen
    assert "\r" not in written
    quiet = Terminal()
    called(f"{words} --quiet", places, quiet)
    assert "\r" not in quiet.getvalue()


async def _refuses(*_: object) -> None:
    raise AqeError("nobody answers")


def test_elsewhere_than_on_a_terminal_no_line_is_written_anew_and_quick_ones_say_nothing(
    places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0)
    piped = io.StringIO()
    called("memory ls --long --memory {url}", places, piped)
    assert piped.getvalue() == ""
    for name, value in (("CI", "true"), ("TERM", "dumb")):
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv(name, value)
            terminal = Terminal()
            called(f"run {PROJECT}", places, terminal)
        assert "\r" not in terminal.getvalue()
        assert terminal.getvalue().startswith("fleet: copying ")


def test_what_takes_long_elsewhere_is_told_in_whole_lines_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_INTERVAL_SECONDS", 0)
    monkeypatch.setattr(progress, "_TICK_SECONDS", 0.001)
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with progress.telling("copying entries") as told:
        told(5, 10)
        while log.getvalue().count("\n") < 3:
            pass
    assert set(log.getvalue().splitlines()) <= {
        "copying entries",
        "copying entries, 5 of 10 (50 %)",
    }


@pytest.mark.parametrize(
    ("counts", "seconds", "text"),
    [
        ([], 0.5, "copying entries"),
        ([], 12.2, "copying entries, 12 s"),
        ([], 605, "copying entries, 10 min 5 s"),
        ([(0, None), (2_400, None)], 2, "copying entries, 2,400"),
        ([(0, None), (24_000, None)], 10, "copying entries, 24,000, 2,400 a second"),
        ([(0, 50_000), (12_500, None)], 2, "copying entries, 12,500 of 50,000 (25 %)"),
        (
            [(0, 50_000), (12_500, 50_000)],
            10,
            "copying entries, 12,500 of 50,000 (25 %), about 30 s left",
        ),
        # Gone on with where another had ended: its rate is that of what was done now.
        (
            [(40_000, 50_000), (45_000, 50_000)],
            10,
            "copying entries, 45,000 of 50,000 (90 %), about 10 s left",
        ),
        ([(50_000, 50_000)], 10, "copying entries, 50,000 of 50,000 (100 %)"),
        # A total that was estimated too low says nothing.
        ([(0, 10), (40, 10)], 10, "copying entries, 40, 4 a second"),
        # Another round.
        ([(0, 90), (90, 90), (30, 90)], 2, "copying entries, 30 of 90 (33 %)"),
    ],
)
def test_how_far_it_is_is_told_by_what_is_known(
    counts: list[tuple[int, int | None]], seconds: float, text: str
) -> None:
    state = progress.State("copying entries", 0.0)
    for done, total in counts:
        state.count(done, total, 0.0)
    assert state.text(seconds) == text


def test_what_is_said_meanwhile_stands_above_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with StatusLine(terminal) as line:
        line.show("copying entries, 1 of 2")
        say("note: a queue has jobs", err=True)
        line.show("copying\nentries, \u5b57" + "x" * 200)
        assert len(rendered(terminal.getvalue()).splitlines()[-1]) == 78
    assert terminal.screen == "note: a queue has jobs"


def test_ctrl_c_leaves_a_clean_terminal() -> None:
    """Of a command that waits for a server that never answers."""
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "CI"} | {"TERM": "xterm"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            [sys.executable, *programs.AQE, "memory", "stats", "--memory", url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=env,
        ) as process:
            os.close(theirs)
            said = _read_until(ours, b"counting entries")
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
            said += _read_until(ours, b"interrupted\r\n")
    os.close(ours)
    assert (process.returncode, output) == (130, b"")
    assert rendered(said.decode()) == "aqe: interrupted"


def _read_until(terminal: int, words: bytes) -> bytes:
    said = b""
    while words not in said:
        assert select.select([terminal], [], [], 60)[0], said
        said += os.read(terminal, 4096)
    return said
