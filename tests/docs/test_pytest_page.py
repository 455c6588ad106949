"""The page of the pytest plugin: its example, run in order, and its options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.users_pytest import as_for_a_user

pytest_plugins = "pytester"

PAGE = (Path(__file__).parents[2] / "docs" / "pytest.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def user(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    as_for_a_user(pytester, monkeypatch, pytestconfig)


def test_the_example_s_commands_say_what_the_page_shows(pytester: pytest.Pytester) -> None:
    blocks = dict(BLOCK.findall(PAGE))
    pytester.makepyprojecttoml('[project]\nname = "shop"\n')
    pytester.makepyfile(test_shop=blocks["python"])
    for command in blocks["console"].split("$ ")[1:]:
        words, *shown = command.splitlines()
        result = pytester.runpytest_inprocess(*shlex.split(words)[1:])
        # Times and paths differ.
        result.stdout.fnmatch_lines([f"*{line}*" for line in shown])


def test_the_page_names_the_plugin_s_options_and_no_others(pytester: pytest.Pytester) -> None:
    shown = pytester.runpytest_inprocess("--help").stdout.str()
    options = set(re.findall(r"--aqe[a-z-]*", shown))
    assert set(re.findall(r"--aqe[a-z-]*", PAGE)) == options
    assert "aqe_timeout" in shown
    (commands,) = [text for kind, text in BLOCK.findall(PAGE) if kind == "bash"]
    assert set(re.findall(r"--[a-z-]+", commands)) == options
