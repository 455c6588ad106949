"""Source as the lines of a list, each marked by whether it ran."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from markupsafe import Markup

from lionagi_qe.display import spelled_out

if TYPE_CHECKING:
    from collections.abc import Mapping

# Enough to find one's way: what no program runs, what is text, and what holds it together. A lexer
# takes a hundred times as long and makes pages five times as large.
_TOKENS = re.compile(
    r"""
    (?P<i>\#[^\n]*)
    | (?P<u>(?<!\w)[rRbBuUfF]{0,2}(?:
        '''(?:\\.|[^\\])*?(?:'''|\Z) | \"\"\"(?:\\.|[^\\])*?(?:\"\"\"|\Z)
        | '(?:\\.|[^\\\n'])*'? | "(?:\\.|[^\\\n"])*"?
    ))
    | (?P<b>\b(?:KEYWORDS)\b)
    """.replace("KEYWORDS", "|".join(keyword.kwlist)),
    re.DOTALL | re.VERBOSE,
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_RAN, _MISSED, _PARTLY = "r", "m", "p"


@dataclass(slots=True)
class FileMarks:
    """What is known of a file's lines.

    Attributes:
        ran: lines that ran.
        missed: lines that did not.
        missed_branches: line -> where it never went on to; negative: out of the function.
        notes: line -> what is to be said below it, as markup.
    """

    ran: frozenset[int] = frozenset()
    missed: frozenset[int] = frozenset()
    missed_branches: Mapping[int, list[int]] = field(default_factory=dict[int, list[int]])
    notes: Mapping[int, list[Markup]] = field(default_factory=dict[int, list[Markup]])

    def kind(self, line: int) -> str:
        """Return how a line is marked."""
        if line in self.missed:
            return _MISSED
        if line in self.missed_branches:
            return _PARTLY
        return _RAN if line in self.ran else ""


def as_items(text: str, marks: FileMarks, *, is_python: bool) -> Markup:
    """Return source as list items, one a line, whose ends HTML allows to leave out."""
    text = _LINE_END.sub("\n", text).removesuffix("\n")
    colored = _colored(text) if is_python else _plain(text)
    return Markup("\n".join(_items(colored.split("\n"), marks)))  # noqa: S704 - escaped below


def _items(lines: list[str], marks: FileMarks) -> list[str]:
    items: list[str] = []
    for number, line in enumerate(lines, 1):
        kind = marks.kind(number)
        shown = f" class={kind}" if kind else ""
        branches = "".join(
            f"<small>{_missed_branch(to)}</small>" for to in marks.missed_branches.get(number, ())
        )
        items.append(f"<li id=L{number}{shown}>{line}{branches}")
        items += [f"<li class=n>{note}" for note in marks.notes.get(number, ())]
    return items


def _missed_branch(to: int) -> str:
    return "never left from here" if to < 0 else f"never went on to line {to}"


def _colored(text: str) -> str:
    parts: list[str] = []
    end = 0
    for found in _TOKENS.finditer(text):
        tag = found.lastgroup
        parts.append(_plain(text[end : found.start()]))
        # No element reaches over a line's end: each line is an element of its own.
        parts += "\n".join(
            f"<{tag}>{line}</{tag}>" if line else "" for line in _plain(found[0]).split("\n")
        )
        end = found.end()
    parts.append(_plain(text[end:]))
    return "".join(parts)


def _plain(text: str) -> str:
    return escape(spelled_out(text), quote=False)
