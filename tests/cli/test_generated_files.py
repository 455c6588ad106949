"""Generated tests are written where they were asked for, and never over a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.cli.generate import write_tests

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_file_that_is_there_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "made" / "for it"
    tests = [{"name": "test_one.py", "source": "one"}, {"name": "test_two.py", "source": "two"}]
    write_tests(tests[:1], into)
    (into / "test_one.py").write_text("mine")

    write_tests(tests, into)

    assert (into / "test_one.py").read_text() == "mine"
    assert (into / "test_two.py").read_text() == "two"
    assert f"kept as it is: {into / 'test_one.py'} exists already" in capsys.readouterr().err
