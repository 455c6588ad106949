"""What of a failure stays the same when it happens again: types, places in the project, words.

Numbers, addresses, paths, ids, times and what stands in quotes are left out of what errors say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.project.layout import is_test_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Errors = Sequence[Mapping[str, Any]]

# Of a message no more is looked at, and no more than the second is kept of its words.
_LONGEST_READ = 600
LONGEST_TEXT = 300
_TERMINAL = re.compile("\x1b(?:\\[[0-9;?]*[A-Za-z]|[@-Z\\\\-_])")
# Each takes one way through a text, whatever that is: no part of one can match in two ways.
_QUOTED = re.compile(r"(?<!\w)(?:'[^'\n]*'|\"[^\"\n]*\")(?!\w)")
# What has more words than these is no value, but what somebody else said.
_MOST_QUOTED_WORDS = 2
_VARIABLE = (
    (re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s'\"<>)\]]+", re.IGNORECASE), "<url>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (
        re.compile(
            r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?"
        ),
        "<time>",
    ),
    (re.compile(r"\b\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<address>"),
    (re.compile(r"(?<![\w/\\])(?:[A-Za-z]:[\\/]|\.{0,2}/)[^\s:'\",;()\[\]{}<>]+"), "<path>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"[-+]?\d[\d_]*(?:[.,]\d+)*(?:e[-+]?\d+)?", re.IGNORECASE), "<n>"),
)
_LIST = re.compile(r"(?:(?:<n>|<id>|'')(?:\s*[,:]\s*)?){2,}")
_UNSEEN = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f]")
_SPACES = re.compile(r" {2,}")
# What is imported is what lacks, whichever file asks for it first.
_OF_IMPORTS = frozenset({"ImportError", "ModuleNotFoundError"})


@dataclass(frozen=True, slots=True)
class Signature:
    """What is the same in failures that are one.

    Attributes:
        place: types of the errors, and the frames that they were raised in.
        text: the words of what they say, without what varies.
        located: whether it has frames of the project.
    """

    place: tuple[str, ...]
    text: str
    located: bool


def signature_of(errors: Errors) -> Signature:
    """Return the signature of a failure from its errors; see ``inject/aqe_traces``."""
    places = [(error["type"], *_frames(error)) for error in errors]
    located = any(len(place) > 1 for place in places)
    first, rest = places[0], sorted(set(places[1:]))
    texts = [normalized(_words(error), quoted=not located) for error in errors]
    text = " | ".join(dict.fromkeys([texts[0], *sorted(texts[1:])])).strip(" |")
    lines = [line for place in (first, *rest) for line in place]
    return Signature(tuple(lines), text[:LONGEST_TEXT], located)


def signature_of_text(outcome: str, text: str) -> Signature:
    """Return the signature of a failure of which only a text is known."""
    return Signature((outcome,), normalized(text, quoted=True), located=False)


@lru_cache(4096)
def normalized(text: str, *, quoted: bool = False) -> str:
    """Return text without what differs each time: one line of ``LONGEST_TEXT`` characters at most.

    Args:
        text: of any length; its beginning counts.
        quoted: whether what stands in quotes is kept.

    """
    text = _TERMINAL.sub("", text[:_LONGEST_READ])
    if not quoted:
        text = _QUOTED.sub(_unquoted, text)
    for pattern, stands_for in _VARIABLE:
        text = pattern.sub(stands_for, text)
    text = _LIST.sub("<n> ", text)
    return _SPACES.sub(" ", _UNSEEN.sub(" ", text)).strip()[:LONGEST_TEXT]


def _unquoted(found: re.Match[str]) -> str:
    return "''" if len(found[0].split()) <= _MOST_QUOTED_WORDS else found[0]


def _words(error: Mapping[str, Any]) -> str:
    """Return what an error says that its place does not; of an assertion no values.

    What pytest adds to an assertion shows values. In a test nothing else is said, either: whatever
    is written beside the assertion is there for all of its failures.
    """
    said: str = error["said"]
    frames = error["frames"]
    if error["type"] != "AssertionError" or not frames:
        return said
    if all(is_test_file(file) for file, *_ in frames):
        return ""
    lines = said.splitlines()
    of_pytest = next((n for n, line in enumerate(lines) if line.startswith("assert ")), None)
    return said if of_pytest is None else "\n".join(lines[:of_pytest])


def _frames(error: Mapping[str, Any]) -> Iterator[str]:
    """Yield the frames of an error that tell where it is from, the innermost first.

    That is the innermost one of the product, whoever called it; frames of tests within it come
    along. Without any of the product it is all of the tests': what fails in a helper of theirs is
    the failure of who calls it.
    """
    if error["type"] in _OF_IMPORTS:
        return
    told: set[str] = set()
    # Not the number of the line, which changes too easily.
    for file, function, line, number, *_ in error["frames"]:
        frame = f"{file} {function}: {line}" + (f" ({number})" if number > 1 else "")
        # What calls itself is one place, however deep it came.
        if frame not in told:
            told.add(frame)
            yield frame
        if not is_test_file(file):
            return
