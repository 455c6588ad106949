"""``aqe completion``: what makes a shell complete commands, options and paths."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lionagi_qe.cli.output import say

VARIABLE = "_AQE_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Write what makes SHELL complete aqe's commands, options and paths.

    \b
    bash  eval "$(aqe completion bash)"   in ~/.bashrc
    zsh   eval "$(aqe completion zsh)"    in ~/.zshrc, behind compinit
    fish  aqe completion fish > ~/.config/fish/completions/aqe.fish
    """  # noqa: D301 - click takes the backspace for "leave these lines as they are"
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"{shell}: this version of click completes nothing for it")
    say(kind(context.find_root().command, {}, "aqe", VARIABLE).source())
