"""What a shell relies on: exit codes where input is wrong, and output that nobody reads."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import termios
from typing import TYPE_CHECKING, Any

import pytest
from tests import prefork, programs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

AQE = (sys.executable, *programs.AQE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    return folder


def aqe(*arguments: object, environment: Mapping[str, str] | None = None) -> prefork.Done:
    env = {**os.environ, **(environment or {})}
    return prefork.call([*map(str, arguments)], flags=programs.AQE[:2], env=env, timeout=60)


def aqe_with(*arguments: object, **streams: Any) -> int:
    """Run it with streams of the test's; return its exit code."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    command = [*AQE, *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False, timeout=60, **streams)
    return done.returncode


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--agents", ""), b"--agents"),
        (("--agents", " , "), b"--agents"),
        (("--timeout", "nan"), b"--timeout"),
        (("--timeout", "inf"), b"--timeout"),
    ],
)
def test_options_that_ask_for_nothing_are_refused(
    project: Path, options: tuple[str, str], words: bytes
) -> None:
    done = aqe("run", project, "--memory", "memory://", *options)
    assert (done.code, done.output) == (2, b"")
    assert words in done.complaints


@pytest.mark.parametrize(
    ("name", "text"), [("baseline", None), ("baseline", "none"), ("quarantine", None)]
)
def test_a_list_that_is_missing_or_none_is_told_before_anything_runs(
    project: Path, name: str, text: str | None
) -> None:
    with (project / "pyproject.toml").open("a") as settings:
        settings.write(f'[tool.aqe]\n{name} = "list.json"\n')
    if text is not None:
        (project / "list.json").write_text(text)
    done = aqe("run", project, "--memory", "memory://")
    assert done.code == 2
    assert b"list.json" in done.complaints
    assert done.complaints.count(b"\n") == 1


def test_output_that_nobody_reads_is_no_failed_gate(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    assert aqe("memory", "set", "aqe/a", "1", "--memory", url).code == 0
    for command in (("memory", "ls", "--memory", url), ("--help",)):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            assert aqe_with(*command, stdout=writer) == 141
        finally:
            os.close(writer)


@pytest.mark.parametrize(
    ("redirected", "command"),
    [
        (">&-", "memory export -"),
        ("<&-", "memory import -"),
        ("<&-", "memory set aqe/a -"),
        ("2>&-", "memory get"),
    ],
)
def test_a_stream_that_the_shell_closed_is_wrong_use_or_no_matter(
    tmp_path: Path, redirected: str, command: str
) -> None:
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    assert aqe("memory", "set", "aqe/a", "1", "--memory", url).code == 0
    line = f"{shlex.join(AQE)} {command} --memory {url} {redirected}"
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") <= 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("printf '\\377' | {aqe} set aqe/b - --text", 2),
        ("{aqe} export - 2>/dev/null | {aqe} import /dev/stdin", 0),
        ("{aqe} export - 2>/dev/full", 0),
    ],
)
def test_pipes_of_all_kinds(tmp_path: Path, line: str, code: int) -> None:
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    assert aqe("memory", "set", "aqe/a", "1", "--memory", url).code == 0
    done = subprocess.run(
        ["/bin/sh", "-c", line.format(aqe=f"{shlex.join(AQE)} memory")],
        env={**os.environ, "LIONAGI_QE_MEMORY": url},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False)


def test_a_value_that_is_too_deep_is_wrong_use(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    done = aqe("memory", "set", "aqe/deep", "[" * 5000 + "]" * 5000, "--memory", url)
    assert (done.code, done.output) == (2, b"")
    assert b"Traceback" not in done.complaints
    assert list(tmp_path.iterdir()) == []


def _with_a_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
@pytest.mark.parametrize(("command", "code"), [("worker", 0), ("run", 130)])
def test_what_loses_its_terminal_ends_as_it_was_asked_to(
    project: Path, command: str, code: int, quiet: tuple[str, ...]
) -> None:
    """Whoever is told so can't tell anything any more, which is no error."""
    begun, url = project / "begun", f"sqlite:///{project.parent / 'memory.db'}"
    (project / "test_long.py").write_text(
        f"import pathlib, time\n\ndef test_long():\n    pathlib.Path({str(begun)!r}).touch()\n"
        "    time.sleep(600)\n"
    )
    arguments = [url] if command == "worker" else [str(project), "--memory", url]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*AQE, command, *arguments, *quiet],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=_with_a_terminal,  # noqa: PLW1509 - this process has no threads here
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while not (begun.exists() or b"worker " in said):
                if select.select([ours], [], [], 0.1)[0]:
                    said += os.read(ours, 4096)
                assert process.poll() is None, said
            os.close(ours)
            assert process.wait(60) == code
        finally:
            process.kill()


def test_an_error_that_nobody_reads_keeps_its_code(project: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert aqe_with("run", project, "--agents", "", stderr=writer) == 2
    finally:
        os.close(writer)


def test_what_a_terminal_cannot_write_is_escaped(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    assert aqe("memory", "set", "aqe/😀", "1", "--memory", url).code == 0
    done = aqe("memory", "ls", "--memory", url, environment={"PYTHONIOENCODING": "latin-1"})
    assert (done.code, done.output) == (0, b"aqe/\\U0001f600\n")


def test_nobody_is_asked_where_nobody_can_answer(tmp_path: Path) -> None:
    done = aqe("learn", "reset", "shop", "--memory", f"sqlite:///{tmp_path / 'memory.db'}")
    assert done.code == 2
    assert b"--yes" in done.complaints
