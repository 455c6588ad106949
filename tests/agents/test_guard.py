"""What the guard lets code read while it is tried."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lionagi_qe.agents.inject

INJECTED = Path(lionagi_qe.agents.inject.__file__).parent
# As Debian's Python has its sitecustomize: linked from a directory of its modules to another one.
TRIED = """
import customized
import aqe_guard
print(open({path!r}).read())
"""


@pytest.mark.parametrize("name", ["customized.py", "secret"])
def test_of_what_lies_elsewhere_only_sources_of_loaded_modules_are_read(
    name: str, tmp_path: Path
) -> None:
    own, elsewhere, modules = tmp_path / "own", tmp_path / "elsewhere", tmp_path / "modules"
    for directory in (own, elsewhere, modules):
        directory.mkdir()
    for file in ("customized.py", "secret"):
        (elsewhere / file).write_text("# here\n", encoding="utf-8")
    (modules / "customized.py").symlink_to(elsewhere / "customized.py")
    done = subprocess.run(
        [sys.executable, "-c", TRIED.format(path=str(elsewhere / name))],
        env={
            **os.environ,
            "AQE_GUARD": str(own),
            "AQE_GUARD_READS": str(own),
            "PYTHONPATH": os.pathsep.join(map(str, (modules, INJECTED))),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if name == "customized.py":
        assert (done.returncode, done.stdout) == (0, "# here\n\n"), done.stderr
    else:
        assert done.returncode == 1
        assert "open" in (own / "guard.txt").read_text()
