"""What an interpreter is, it tells also where its tools are broken."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment.interpreter import probe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("error", ["ImportError('gone')", "AttributeError('half of it')"])
def test_a_tool_that_cant_be_imported_is_not_there(tmp_path: Path, error: str) -> None:
    # As in the environment of pluggy, which pytest needs and which is not installed in it.
    (tmp_path / "pytest.py").write_text(f"raise {error}\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    found = probe(python)
    assert found["tools"]["pytest"] is None
    assert found["tools"]["coverage"]
    assert found["version"] == ".".join(map(str, sys.version_info[:3]))
