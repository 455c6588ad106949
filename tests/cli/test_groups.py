"""Groups of commands: what help tells of them, and of names that none of them has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from tests.cli.test_progress import leaves

from lionagi_qe.cli.groups import Group
from lionagi_qe.cli.main import cli, main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rnu"], "aqe has no command 'rnu'; did you mean run?"),
        (["memory", "lss"], "aqe memory has no command 'lss'; did you mean ls?"),
        (["queue", "zzz"], "aqe queue has no command 'zzz'; aqe queue --help lists them"),
    ],
)
def test_a_name_that_no_command_has_is_told_with_the_nearest(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr() == ("", f"aqe: {told}\n")


def test_help_of_every_command_fits_into_80_columns_and_no_sentence_is_cut() -> None:
    groups: dict[int, click.Group] = {id(cli): cli}
    for words, command in leaves(cli):
        context = click.Context(command, info_name=f"aqe {words}", terminal_width=80)
        assert max(map(len, command.get_help(context).splitlines())) <= 80, words
        parent = cli.get_command(click.Context(cli), words.split()[0])
        if isinstance(parent, click.Group):
            groups[id(parent)] = parent
    assert len(groups) == 5
    for group in groups.values():
        assert isinstance(group, Group)
        assert "..." not in group.get_help(click.Context(group)).replace("[ARGS]...", "")


def test_where_no_project_is_none_is_looked_for_in_a_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["run"], ["gate"], ["history"], ["report"], ["merge", "1.json"]):
        assert main(words) == 2
        assert "there is no project in the working directory; name" in capsys.readouterr().err
