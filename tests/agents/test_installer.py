"""What the user has set for pip holds for uv, too, wherever it is set."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment.build_failures import error_of_build
from lionagi_qe.agents.environment.installer import Installer

if TYPE_CHECKING:
    from pathlib import Path

TRACE = """\
Traceback (most recent call last):
File "<string>", line 14, in <module>
File "/tmp/shop/inflection/__init__.py", line 430
def x(:
^
SyntaxError: invalid syntax
"""
OF_UV = f"error: The build backend returned an error\ncause: Call to it failed\n[stderr]\n{TRACE}"
OF_PIP = (
    f"error: subprocess-exited-with-error\n[17 lines of output]\n{TRACE}[end of output]\n"
    "ERROR: Failed to build it\n"
)
PLACES = (".config/pip/pip.conf", "many/pip/pip.conf")


@pytest.mark.parametrize("place", PLACES)
async def test_settings_of_pip_become_words_of_uv(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*os.environ]:
        if name.startswith(("PIP_", "UV_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    if place.startswith("many"):
        monkeypatch.setenv("XDG_CONFIG_DIRS", f"/nowhere{os.pathsep}{tmp_path / 'many'}")
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text("[global]\nindex-url = https://packages.example.org/simple\n")
    uv = await Installer("uv", "0", ("uv",)).configured()
    assert uv.settings[:2] == ("--default-index", "https://packages.example.org/simple")


async def test_pip_asks_for_its_settings_itself() -> None:
    pip = Installer("pip", "0", ("pip",))
    assert await pip.configured() is pip


@pytest.mark.parametrize("output", [OF_UV, OF_PIP])
def test_of_a_build_that_failed_its_own_last_error_is_told(output: str) -> None:
    told = "SyntaxError: invalid syntax (/tmp/shop/inflection/__init__.py, line 430)"
    assert error_of_build(output.splitlines()) == told
    said = output.replace("SyntaxError: invalid syntax", "error: command 'gcc' failed")
    assert error_of_build(said.splitlines()) == "error: command 'gcc' failed"
    assert error_of_build(["error: no solution found", "because of it"]) is None
