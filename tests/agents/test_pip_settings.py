"""pip's settings are read as pip itself reads them, of which pip is the judge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment.pip_settings import pip_settings
from lionagi_qe.errors import EnvironmentBuildError

if TYPE_CHECKING:
    from pathlib import Path

# By place below the home directory; "named" is what PIP_CONFIG_FILE names.
FILES = {
    "many/pip/pip.conf": "[global]\nindex-url = https://many.example.org\nretries = 1\n",
    ".pip/pip.conf": "[global]\nindex-url = https://old.example.org\nno-index = 0\n",
    ".config/pip/pip.conf": """[global]
index_url = https://user.example.org
extra-index-url =
    https://a.example.org/100%done
    https://b.example.org
[install]
find-links = /wheels
[list]
format = json
""",
    "named": "[install]\nindex-url = https://named.example.org\nno-index =\n[global]\nretries =\n",
}
VARIABLES = {
    "PIP_INDEX_URL": "https://variable.example.org",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_NO_INDEX": "1",
}


# What a command takes, in order; ``pip config list`` shows each file's in no order that tells.
PROBE = """
import json
from pip._internal.cli.parser import ConfigOptionParser
parser = ConfigOptionParser(name="install")
parser.config.load()
print(json.dumps([*parser._get_ordered_configuration_items()]))
"""


def told_by_pip() -> dict[str, str]:
    """Return what ``pip install`` takes from files and variables."""
    command = [sys.executable, "-c", PROBE]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(told.stdout))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [*os.environ]:
        if name.startswith(("PIP_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("variables", [(), ("PIP_INDEX_URL",), tuple(VARIABLES)])
@pytest.mark.parametrize(
    "files",
    [
        (),
        (".pip/pip.conf",),
        (".config/pip/pip.conf",),
        (".pip/pip.conf", ".config/pip/pip.conf"),
        ("many/pip/pip.conf",),
        ("many/pip/pip.conf", ".config/pip/pip.conf"),
        ("named",),
        tuple(FILES),
    ],
)
def test_settings_are_those_that_pip_itself_takes(
    files: tuple[str, ...],
    variables: tuple[str, ...],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for place in files:
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        (home / place).write_text(FILES[place], encoding="utf-8")
    if "many/pip/pip.conf" in files:
        monkeypatch.setenv("XDG_CONFIG_DIRS", f"/nowhere{os.pathsep}{home / 'many'}")
    if "named" in files:
        monkeypatch.setenv("PIP_CONFIG_FILE", str(home / "named"))
    for name in variables:
        monkeypatch.setenv(name, VARIABLES[name])
    expected = told_by_pip()
    found = pip_settings()
    assert {name: found.get(name) for name in expected} == expected
    assert found.keys() - expected.keys() <= {"config-file"}


def test_no_file_is_read_where_pip_is_told_to_read_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".pip").mkdir()
    (home / ".pip" / "pip.conf").write_text("[global]\nretries = 9\n", encoding="utf-8")
    assert pip_settings()["retries"] == "9"
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert "retries" not in pip_settings()
    assert "retries" not in told_by_pip()


@pytest.mark.parametrize("content", [b"index-url = x\n", b"[global]\n\xff\xfe\n", b"[global\n"])
def test_a_file_that_pip_could_not_read_is_named(content: bytes, home: Path) -> None:
    (home / ".pip").mkdir()
    file = home / ".pip" / "pip.conf"
    file.write_bytes(content)
    with pytest.raises(EnvironmentBuildError, match=f"{file}.*mend that file"):
        pip_settings()
    with pytest.raises(subprocess.CalledProcessError):
        told_by_pip()
