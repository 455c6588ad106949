"""Groups of commands: what they are for in whole sentences, and what was meant by a wrong name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lionagi_qe.nearest import nearest

if TYPE_CHECKING:
    from click import Command, Context

# Longer than any first sentence: what doesn't fit into a line is broken rather than cut.
_WHOLE = 1_000


class Group(click.Group):
    """A group of commands."""

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """Return the command that is called; UsageError, with the nearest names, if none is."""
        name, known = args[0], self.list_commands(ctx)
        if name in known or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        near = " or ".join([*nearest(name, known), *self._elsewhere(name, ctx)])
        told = f"did you mean {near}?" if near else f"{ctx.command_path} --help lists them"
        raise click.UsageError(f"{ctx.command_path} has no command {name!r}; {told}", ctx)

    def _elsewhere(self, name: str, ctx: Context) -> list[str]:
        """Return the commands of that very name in groups of this one, as ``memory recall``."""
        groups = ((group, self.get_command(ctx, group)) for group in self.list_commands(ctx))
        return [
            f"{group} {name}"
            for group, command in groups
            if isinstance(command, click.Group) and name in command.list_commands(ctx)
        ]

    def format_commands(self, ctx: Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with what they do."""
        rows = [
            (name, command.get_short_help_str(_WHOLE))
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
