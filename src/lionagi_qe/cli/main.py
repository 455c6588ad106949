"""``aqe``: the entry point; commands are imported when they are called."""

from __future__ import annotations

import asyncio
import atexit
import gc
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, ClassVar

import click
from click.shell_completion import CompletionItem

from lionagi_qe import __version__
from lionagi_qe.cli.ending import mention
from lionagi_qe.cli.exits import Exit, exit_code_of, explain
from lionagi_qe.cli.groups import Group
from lionagi_qe.cli.output import say, show_logs
from lionagi_qe.extras import lacking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click import Command, Context


if not sys.warnoptions:
    # To look for cycles in all that was imported takes longer than the rest of the end. Who asks
    # for warnings is still told of what is left open in one.
    atexit.register(gc.freeze)


class LazyGroup(Group):
    """A group whose commands live in modules that are imported on use.

    Listing the commands imports nothing: their one-line helps are written here.
    """

    # name -> (module, attribute, help)
    lazy: ClassVar[dict[str, tuple[str, str, str]]] = {
        "ask": ("lionagi_qe.cli.ask", "ask", "Have a model answer from measurements."),
        "bench": ("lionagi_qe.cli.bench", "bench", "Measure a memory on your own server."),
        "cache": ("lionagi_qe.cli.cache", "cache", "Look at what is kept between runs, and prune."),
        "capacity": ("lionagi_qe.cli.capacity", "capacity", "Compute what a load needs."),
        "completion": (
            "lionagi_qe.cli.completion",
            "completion",
            "Have your shell complete commands and options.",
        ),
        "doctor": ("lionagi_qe.cli.doctor", "doctor", "Check the memory and this machine."),
        "flaky": ("lionagi_qe.cli.flaky", "flaky", "Find tests that fail by chance."),
        "gate": ("lionagi_qe.cli.gate", "gate", "Judge the last run by the project's rules."),
        "generate": ("lionagi_qe.cli.generate", "generate", "Write tests for untested functions."),
        "history": ("lionagi_qe.cli.history", "history", "Show how figures went from run to run."),
        "learn": ("lionagi_qe.cli.learn", "learn", "Inspect and evaluate what was learned."),
        "mcp": ("lionagi_qe.cli.mcp", "mcp", "Serve the memory to an MCP client."),
        "memory": ("lionagi_qe.cli.memory", "memory", "Look at and change the shared memory."),
        "merge": ("lionagi_qe.cli.merge", "merge", "Make one run of the shards of a CI matrix."),
        "mutate": ("lionagi_qe.cli.mutate", "mutate", "Find changes that no test notices."),
        "queue": ("lionagi_qe.cli.queue", "queue", "Look at work queues and dead letters."),
        "repeat": ("lionagi_qe.cli.repeat", "repeat", "Run a flaky test as it was seen to fail."),
        "report": ("lionagi_qe.cli.report", "report", "Show a run that is over in a browser."),
        "run": ("lionagi_qe.cli.run", "run", "Examine a project: tests, coverage, quality gate."),
        "select": ("lionagi_qe.cli.select", "select", "Say which tests a change needs."),
        "serve": ("lionagi_qe.cli.serve", "serve", "Show a memory live, in a browser."),
        "worker": ("lionagi_qe.cli.worker", "worker", "Examine for runs on any machine."),
    }

    def list_commands(self, ctx: Context) -> list[str]:
        """Return the names, sorted."""
        return sorted({*super().list_commands(ctx), *self.lazy})

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """Import a command; UsageError if this installation lacks it."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, attribute, _ = self.lazy[cmd_name]
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise click.UsageError(f"this installation has no command {cmd_name!r}") from error

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, importing none; then the options."""
        commands = [
            CompletionItem(name, help=self.lazy[name][2])
            for name in sorted(self.lazy)
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their helps."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.lazy[name][2]) for name in sorted(self.lazy)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="aqe")
def cli() -> None:
    """Quality-engineering agents for Python projects, with one shared memory.

    Exit codes: 0 passed, 1 gate failed, 2 usage, 3 infrastructure (memory, environment) or a
    defect of aqe, 4 a required metric was not measured, 130 interrupted, 141 output that nobody
    read.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one line on stderr."""
    if sys.stderr is None:
        # Closed by the shell (2>&-): what would be told there goes nowhere.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the end
    show_logs()
    for stream in (sys.stdout, sys.stderr):
        # Names of tests and files may have what an old terminal can't write.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        result = cli.main(args=arguments, prog_name="aqe", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message(), err=True)
        return Exit.USAGE
    except SystemExit as error:
        # click exits with 1, which would be a failed gate, where nobody reads our output any more.
        return Exit.NOT_READ if error.code == 1 else int(error.code or 0)
    except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:  # noqa: BLE001 - all of it
        lack = lacking(error) if isinstance(error, ModuleNotFoundError) else None
        if lack is not None:
            mention(f"aqe: this {lack}")
            return Exit.USAGE
        code = exit_code_of(error)
        if code is None:
            # Only then, since it is imported for that alone.
            from lionagi_qe.cli.defect import tell_defect

            return tell_defect(error)
        mention(f"aqe: {explain(error)}")
        return code
    return result if isinstance(result, int) else Exit.PASSED


if __name__ == "__main__":
    sys.exit(main())
