"""The tutorial, done in order: its files are written, its commands say what the page shows."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
from pathlib import Path

from tests import prefork, programs

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROJECT = "## A project of yours"
# Readers wait for flaky tests and mutants, which have tests of their own.
QUICKER = ("--agents", "test-executor,coverage-analyzer,quality-gate")


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    first, second = PAGE.split(PROJECT)
    plans, shop = tmp_path / "plans", tmp_path / "shop"
    plans.mkdir()
    assert follow(first, plans) == 4
    shop.mkdir()
    assert follow(second, shop) == 3


def follow(text: str, folder: Path) -> int:
    """Write the files and run the commands of a part of the page; return how many were run."""
    ran = 0
    for kind, block in BLOCK.findall(text):
        if kind in {"python", "toml"}:
            name = re.match(r"# (\S+)\n", block)
            assert name, block
            (folder / name[1]).write_text(block, encoding="utf-8")
        if kind == "console":
            for command in block.split("$ ")[1:]:
                said(command, folder)
                ran += 1
    return ran


def said(command: str, folder: Path) -> None:
    line, *shown = command.splitlines()
    program, *words = shlex.split(line)
    known = {name: value for name, value in os.environ.items() if "LIONAGI" not in name}
    kept = str(folder.parent / "kept")
    env = known | {"XDG_STATE_HOME": kept, "XDG_CACHE_HOME": kept}
    if program == "python":
        done = programs.call(*words, env=env, cwd=folder)
        code, output = done.code, done.output
    else:
        assert program == "aqe"
        quicker = QUICKER if words[0] == "run" else ()
        answer = prefork.call([*words, *quicker], env=env, cwd=folder)
        code, output = answer.code, answer.output.decode()
    assert code == 0, (line, output)
    lines = [one_spaced(each) for each in output.splitlines()]
    for each in shown:
        pattern = re.sub(r"[\[?*]", r"[\g<0>]", one_spaced(each)).replace("...", "*")
        assert fnmatch.filter(lines, pattern), f"{line}: {pattern} is not in\n{output}"


def one_spaced(text: str) -> str:
    return " ".join(text.split())
