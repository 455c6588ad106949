"""The package without its extras: the memory and its commands work, others say what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests import programs

if TYPE_CHECKING:
    from pathlib import Path

# ``aqe`` where nothing of the extras is installed.
BARE = """
import sys

class Absent:
    NAMES = {"bandit", "detect_secrets", "jinja2", "langgraph", "lionagi", "matplotlib", "mcp",
        "opentelemetry", "packaging", "pygments", "radon", "rich", "starlette", "uv", "uvicorn",
        "yaml", "zstandard"}

    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in self.NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from lionagi_qe.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["run", "."], "fleet"),
        (["gate"], "fleet"),
        (["worker"], "fleet"),
        (["bench", "memory://"], "fleet"),
        (["mcp"], "mcp"),
        (["serve"], "web"),
    ],
)
async def test_a_command_that_needs_an_extra_says_so_in_one_line(
    words: list[str], extra: str, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'shop'\nversion = '1'\n")
    env = {"LIONAGI_QE_MEMORY": f"sqlite:///{tmp_path}/memory.db"}
    process = await programs.start("-c", BARE, *words, env=env)
    output, complaints = await process.communicate()
    (line,) = (complaints or b"").decode().splitlines()
    assert (process.returncode, output) == (2, b"")
    assert line.endswith(f"which is not installed: pip install 'aqe-fleet[{extra}]'")


async def test_the_memory_and_its_commands_need_no_extra(tmp_path: Path) -> None:
    env = {"LIONAGI_QE_MEMORY": f"sqlite:///{tmp_path}/memory.db"}
    for words in (
        ["memory", "set", "aqe/a", "1"],
        ["memory", "ls"],
        ["memory", "export", f"{tmp_path}/archive.jsonl.gz"],
        ["memory", "import", f"{tmp_path}/archive.jsonl.gz", "--on-conflict", "skip"],
        ["queue", "schedule", "jobs", "nightly", "--cron", "0 3 * * *"],
        ["queue", "ls"],
        ["doctor"],
    ):
        assert await programs.run("-c", BARE, *words, env=env) is not None
