"""What the user has set for pip holds for uv, too; what a build failed of is told."""

from __future__ import annotations

import os

import pytest

from lionagi_qe.agents.environment.build_failures import error_of_build
from lionagi_qe.agents.environment.installer import Installer

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


def test_settings_of_pip_become_words_of_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example.org/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example.org https://b.example.org")
    for name in [*os.environ]:
        if name.startswith("UV_"):
            monkeypatch.delenv(name)
    uv = Installer("uv", "0", ("uv",)).configured()
    assert uv.settings[:2] == ("--default-index", "https://packages.example.org/simple")
    assert uv.settings[2:6] == (
        "--index",
        "https://a.example.org",
        "--index",
        "https://b.example.org",
    )


def test_pip_asks_for_its_settings_itself() -> None:
    pip = Installer("pip", "0", ("pip",))
    assert pip.configured() is pip


@pytest.mark.parametrize("output", [OF_UV, OF_PIP])
def test_of_a_build_that_failed_its_own_last_error_is_told(output: str) -> None:
    told = "SyntaxError: invalid syntax (/tmp/shop/inflection/__init__.py, line 430)"
    assert error_of_build(output.splitlines()) == told
    said = output.replace("SyntaxError: invalid syntax", "error: command 'gcc' failed")
    assert error_of_build(said.splitlines()) == "error: command 'gcc' failed"
    assert error_of_build(["error: no solution found", "because of it"]) is None
