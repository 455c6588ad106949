"""References within values as tox and hatch write them: ``{toxinidir}``, ``{env:NAME:default}``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_INNERMOST = re.compile(r"(?<!\\)\{([^{}]*)\}")
_TOO_MANY = 100


class UnresolvedError(Exception):
    """A reference whose value only the tool itself, or the user's own environment, can tell."""


def substituted(
    text: str,
    known: Mapping[str, str],
    of_environment: Callable[[str, str | None], str],
    unknown: frozenset[str] = frozenset(),
) -> str:
    """Return a value with its references resolved, inner ones first; others stay as they are.

    Args:
        text: as the file has it.
        known: name of a reference -> its value.
        of_environment: called with the name of a variable and the default beside it, None for none.
        unknown: names that mean something to the tool alone.

    Raises:
        UnresolvedError: one can't be resolved; the text names it.

    """
    kept: list[str] = []

    def resolved(match: re.Match[str]) -> str:
        inner = match[1]
        if inner in known:
            return known[inner]
        kind, colon, rest = inner.partition(":")
        if kind == "env" and colon:
            name, has_default, default = rest.partition(":")
            return of_environment(name, default if has_default else None)
        if kind in unknown:
            raise UnresolvedError(f"{{{inner}}}")
        # No reference: braces may be part of the value.
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    for _ in range(_TOO_MANY):
        following = _INNERMOST.sub(resolved, text)
        if following == text:
            break
        text = following
    while kept:
        text = text.replace(f"\0{len(kept) - 1}\0", kept.pop())
    return text.replace("\\{", "{").replace("\\}", "}")
