r"""Text of others as people and CI servers may see it: what it says, and nothing that it does.

Names of tests and files, messages, keys and values may hold escapes that move a terminal's cursor,
characters that turn the order of a line around, and commands that CI servers read in what jobs say.
All these are written as ``\u001b``: as JSON writes them, so that JSON stays what it is.
"""

from __future__ import annotations

import re

# Control characters but for tab and line feed; marks that reorder or separate lines; what has no
# width or looks like nothing, in which text is hidden from people and told to language models (but
# for what joins letters and emoji); and lone surrogates, which have no UTF-8 form.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e01ef]"
)
# Lines that GitHub and Azure take for commands: the first from a line's beginning on, the others
# wherever they stand, also where a backslash keeps a library from reading the bracket.
_COMMAND = re.compile(r"^(?P<space>[ \t]*):(?=:)|#(?=#\\*\[|#vso\\*\[)", re.MULTILINE)


def visible(text: str) -> str:
    """Return text without characters that a terminal or a CI server would obey."""
    return _COMMAND.sub(_command_escaped, spelled_out(text))


def spelled_out(text: str) -> str:
    """Return text with what can't be seen in it spelled out: enough where no CI server reads."""
    return _UNSEEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number <= 0xFFFF:  # noqa: PLR2004 - what JSON's escapes reach
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


def _command_escaped(found: re.Match[str]) -> str:
    return "\\u0023" if found["space"] is None else f"{found['space']}\\u003a"


def unit_of(count: object, unit: str) -> str:
    """Return a unit as it stands behind a number: one thing is one, as in ``1 branch``."""
    if count != 1 or len(unit) <= 2:  # noqa: PLR2004 - s, ms
        return unit
    first, _, rest = unit.partition(" ")
    if first.endswith("ches"):
        first = first.removesuffix("es")
    elif not first.endswith("ss"):
        first = first.removesuffix("s")
    return f"{first} {rest}".strip()


def counted(count: int, unit: str) -> str:
    """Return how many there are of something, such as ``1 branch`` and ``2 branches``."""
    return f"{count} {unit_of(count, unit)}"
