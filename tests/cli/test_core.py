"""The package without its extras: the memory and its commands work, others say what they need."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from tests import programs

import lionagi_qe
from lionagi_qe.extras import lacking, needs

# ``aqe`` where nothing of the extras is installed.
BARE = """
import sys

class Absent:
    NAMES = {"anyio", "bandit", "detect_secrets", "jinja2", "langchain_core", "langgraph",
        "lionagi", "matplotlib", "mcp",
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


def test_what_has_no_release_for_this_python_is_not_told_to_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    assert needs("ruptures") == (
        "needs ruptures, which has no release for Python 3.14: use an older Python"
    )
    assert needs("matplotlib").endswith("pip install 'aqe-fleet[charts]'")


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


# What the core depends on, and what comes with that.
CORE = {
    "apsw",
    "asyncpg",
    "click",
    "cronsim",
    "hiredis",
    "orjson",
    "platformdirs",
    "pydantic",
    "redis",
}
CORE |= {"typing_extensions"}
# Run in the examined project's environment; the test kit, whose pytest says what it lacks; and what
# a model's own library brings, which is asked for first.
ELSEWHERE = ("agents/inject/", "testing/", "integrations/pytest/")
AFTER_ITS_LIBRARY = {"tiktoken"}


def test_whatever_is_imported_comes_with_the_core_or_an_extra_that_errors_name() -> None:
    root = Path(lionagi_qe.__file__).parent
    known = CORE | AFTER_ITS_LIBRARY | {"lionagi_qe", *sys.stdlib_module_names}
    for file in root.rglob("*.py"):
        if file.relative_to(root).as_posix().startswith(ELSEWHERE):
            continue
        for node in ast.walk(ast.parse(file.read_bytes())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                told = lacking(ModuleNotFoundError(name=name))
                assert told or name.partition(".")[0] in known, f"{file}: {name}"
