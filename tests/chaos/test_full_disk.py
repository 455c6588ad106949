"""A disk that is really full: what is read, what is refused and how, and that it goes on after."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

PROGRAM = Path(__file__).with_name("full_disk.py")
# A disk of its own needs a namespace: root makes it, or whoever may have one of users, too.
NAMESPACE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]


def may_mount() -> bool:
    return shutil.which("unshare") is not None and (
        subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not may_mount(), reason="this system gives nobody a mount namespace")
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_reads_go_on_changes_are_refused_whole_and_all_is_there_once_there_is_room(
    backend: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [*NAMESPACE, sys.executable, PROGRAM, tmp_path, backend],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    full = "BackendFullError not_applied"
    assert (told["refused"], told["again"], told["batch"]) == (full, full, full)
    assert told["read"] == "done"
    assert told["listed"] in {0, 1}, "a small entry may still fit"
    # What is removed is noted, which may need more room than there is.
    assert told["removed"] in {"done", full}
    assert (told["lost"], told["halves"], told["job"]) == (0, 0, "before")
    assert told["removed after"] == "done"
