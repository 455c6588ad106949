"""``--embed``: which function made the vectors of an index, for commands that recall."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, cast

import click

from lionagi_qe.persistence.recall.embedding import ENTRY_POINTS, register_embedding
from lionagi_qe.persistence.values.redacted_text import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.persistence.recall.embedding import Embed

_FORM = "NAME=package.module:function"


def embed_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --embed, whose functions are registered for this process."""

    def register(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> None:
        for text in given:
            name, place = text.rpartition("=")[::2]
            register_embedding(name, _function(text, name, place))

    return click.option(
        "--embed",
        multiple=True,
        metavar=_FORM,
        expose_value=False,
        callback=register,
        help="What makes the vectors of indexes that name it so: imported from the working "
        f"directory, or installed. Packages may declare theirs as {ENTRY_POINTS}; may be repeated.",
    )(command)


def _function(text: str, name: str, place: str) -> Embed:
    module, _, path = place.partition(":")
    if not (name and module and path):
        raise click.BadParameter(f"{text!r}: write {_FORM}; aqe memory indexes tells the name")
    if os.getcwd() not in sys.path:  # noqa: PTH109 - as sys.path has it
        # As ``python -m`` does, which ``aqe`` itself is not started by.
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - likewise
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:
        said = redact_text(f"{type(error).__name__}: {error}")
        raise click.BadParameter(f"{text!r}: can't be imported here: {said}") from error
    if not callable(found):
        raise click.BadParameter(f"{text!r}: is no function")
    return cast("Embed", found)
