"""Programs of ours that stand outside of isolation run no code of the project's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import lionagi_qe
from lionagi_qe.agents.environment.installer import OUR_PIP
from lionagi_qe.agents.environment.wheel_caches import wheel_caches
from lionagi_qe.fleet.examined_source import read_sources

if TYPE_CHECKING:
    import pytest

ROOT = Path(lionagi_qe.__file__).parent
OURS = re.compile(r"sys\.executable,\s*\"(-[^\"]*)\"")


def test_our_python_takes_no_module_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    for name in ("pip.py", "json.py", "sitecustomize.py"):
        (tmp_path / name).write_text(f"open({str(victim)!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    subprocess.run([*OUR_PIP, "--version"], check=True, capture_output=True)
    wheel_caches()
    assert not victim.exists()


def test_whatever_starts_our_python_keeps_to_its_own_modules() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), flag)
        for path in ROOT.rglob("*.py")
        if path.relative_to(ROOT).parts[0] != "testing"
        for flag in OURS.findall(path.read_text(encoding="utf-8"))
    }
    assert len(found) > 3
    assert {each for each in found if each[1] not in {"-I", "-P"}} == set()


def test_a_repository_that_lacks_an_object_has_no_program_fetch_it(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    root = tmp_path / "shop"
    git = ("git", "-C", str(root))
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    for name, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": "ssh://git.invalid/shop",
        "core.sshCommand": f"touch {victim}; false",
        "protocol.ssh.allow": "always",
    }.items():
        subprocess.run([*git, "config", name, value], check=True)
    lacking = "1" * 40
    assert read_sources(root, {"shop.py": lacking}) == {}
    assert not victim.exists()

    # The attempt is in earnest.
    subprocess.run([*git, "cat-file", "-e", lacking], check=False, capture_output=True)
    assert victim.exists()
