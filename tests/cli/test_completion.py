"""What a shell is told when somebody presses the tabulator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.programs import AQE, run

AQE_BESIDE = Path(sys.executable).with_name("aqe")


async def complete(*words: str) -> list[str]:
    env = {
        "_AQE_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("aqe", *words)),
        "COMP_CWORD": str(len(words)),
    }
    return (await run(*AQE, env=env)).split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("qu",), ["plain,queue"]),
        (("queue", "sch"), ["plain,schedule", "plain,schedules"]),
        (("queue", "schedule", "--mis"), ["plain,--missed"]),
        (("--vers",), ["plain,--version"]),
        (("nonsense",), []),
    ],
)
async def test_commands_and_options_are_completed(
    words: tuple[str, ...], expected: list[str]
) -> None:
    assert await complete(*words) == expected


async def test_listing_the_commands_imports_none_of_them() -> None:
    program = (
        "import sys\nfrom lionagi_qe.cli.main import cli\nimport click\n"
        "found = cli.shell_complete(click.Context(cli), '')\n"
        "print(len(found), [name for name in sys.modules if name == 'lionagi_qe.cli.run'])"
    )
    count, *imported = (await run("-c", program)).split()
    assert int(count) > 10
    assert imported == ["[]"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_each_shell_gets_its_script(shell: str) -> None:
    assert f"_AQE_COMPLETE={shell}_complete" in await run(*AQE, "completion", shell)


def test_bash_completes_by_it() -> None:
    script = (
        f'PATH={AQE_BESIDE.parent}:$PATH; eval "$(aqe completion bash)"; '
        "COMP_WORDS=(aqe comp); COMP_CWORD=1; _aqe_completion aqe; echo ${COMPREPLY[*]}"
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "completion\n"
