r"""The one glob dialect of searches, the same on every backend.

``*`` matches any run of characters, '/' included; ``?`` one character; ``[abc]``, ``[a-z]`` and
``[!a]`` one of a set; ``\`` makes the next character literal. All else means itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.values.keys import KeyRange

MAX_PATTERN_CHARACTERS = 1024
# What no key, and no name of a queue or lease, holds; and servers can't compare with.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SPECIAL = re.compile(r"[*?\[\\]")


@dataclass(frozen=True, slots=True)
class Glob:
    """A compiled pattern.

    Attributes:
        prefix: the literal text that every match starts with; a search costs what shares it.
        whole: what the pattern is besides its prefix: "literal" (nothing follows), "prefix" (a
            single ``*`` follows, so that the prefix alone decides) or "filter".
    """

    prefix: str
    whole: str
    _regex: re.Pattern[str] | None

    @property
    def keys(self) -> KeyRange:
        """The keys among which all are that match."""
        if self.whole == "literal":
            return KeyRange.of_key(self.prefix)
        return KeyRange.of_prefix(self.prefix)

    def matches(self, key: str) -> bool:
        """Whether the whole of ``key`` fits the pattern."""
        if self._regex is None:
            return key == self.prefix if self.whole == "literal" else key.startswith(self.prefix)
        return self._regex.fullmatch(key) is not None


def escape_glob(text: str) -> str:
    """Return the pattern that matches this text alone."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def compile_glob(pattern: object) -> Glob:
    """Compile ``pattern``, or raise InvalidArgumentError naming what is wrong and where."""
    if not isinstance(pattern, str):
        msg = f"pattern {pattern!r}: a pattern is a string, not {type(pattern).__name__}"
        raise InvalidArgumentError(msg)
    if _FORBIDDEN.search(pattern):
        msg = (
            f"pattern {pattern!r}: holds a control character or a lone surrogate, which no key "
            "does; remove it"
        )
        raise InvalidArgumentError(msg)
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        msg = f"pattern of {len(pattern)} characters: the limit is {MAX_PATTERN_CHARACTERS}"
        raise InvalidArgumentError(msg)
    return _compiled(pattern)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Glob:
    tokens = _tokens(pattern)
    literal: list[str] = []
    for kind, text in tokens:
        if kind != "literal":
            break
        literal.append(text)
    rest = tokens[len(literal) :]
    whole = "literal" if not rest else "prefix" if rest == [("any", "")] else "filter"
    # Compiling an expression costs more than a look-up by the prefix.
    return Glob("".join(literal), whole, _regex(tokens) if whole == "filter" else None)


def server_expression(pattern: str) -> str:
    """Return the regular expression by which PostgreSQL matches what ``compile_glob`` does.

    Raises:
        InvalidArgumentError: see ``compile_glob``.

    """
    compile_glob(pattern)
    # Its matcher doesn't backtrack, so a plain run does. Pieces are written alike: both take any
    # character behind a backslash that is no letter and no digit for itself, in a class, too.
    return f"^{'.*'.join(_pieces(_tokens(pattern)))}$"


def _tokens(pattern: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            if at + 1 == len(pattern):
                msg = f"pattern {pattern!r}: ends with a lone '\\'; write '\\\\' for a backslash"
                raise InvalidArgumentError(msg)
            tokens.append(("literal", pattern[at + 1]))
            at += 2
        elif character == "[":
            text, at = _character_class(pattern, at)
            tokens.append(("class", text))
        else:
            if character == "*":
                # Adjacent stars mean one; more would only make the matcher backtrack.
                if not tokens or tokens[-1][0] != "any":
                    tokens.append(("any", ""))
            elif character == "?":
                tokens.append(("one", ""))
            else:
                tokens.append(("literal", character))
            at += 1
    return tokens


def _character_class(pattern: str, start: int) -> tuple[str, int]:
    """Parse ``[...]`` from ``start``; return its regular expression and the position behind it."""
    at = start + 1
    negated = pattern[at : at + 1] == "!"
    at += negated
    members: list[str] = []
    while True:
        low, at = _class_member(pattern, start, at, first=not members)
        if low is None:
            break
        # A '-' before the closing bracket is a literal one.
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in {"", "]"}:
            high, at = _class_member(pattern, start, at + 1, first=True)
            if high is None or high < low:
                msg = f"pattern {pattern!r}: the range {low}-{high} at {start} runs backwards"
                raise InvalidArgumentError(msg)
            members.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            members.append(re.escape(low))
    return f"[{'^' if negated else ''}{''.join(members)}]", at


def _class_member(pattern: str, start: int, at: int, *, first: bool) -> tuple[str | None, int]:
    """Read one character of a class; None when the class ends here."""
    if pattern[at : at + 1] == "]" and not first:
        return None, at + 1
    if pattern[at : at + 1] == "\\":
        at += 1
    if at >= len(pattern):
        msg = f"pattern {pattern!r}: the '[' at {start} is never closed; write '\\[' for a bracket"
        raise InvalidArgumentError(msg)
    return pattern[at], at + 1


def _regex(tokens: list[tuple[str, str]]) -> re.Pattern[str]:
    """Translate to a regular expression that never backtracks over a ``*``.

    Between stars the pieces have no repetition, so the first place where a piece fits is as good
    as any later one: each piece goes into an atomic group behind a lazy run.
    """
    pieces = _pieces(tokens)
    head, *middle, tail = pieces if len(pieces) > 1 else [pieces[0], ""]
    if len(pieces) == 1:
        return re.compile(head, re.DOTALL)
    expression = head + "".join(f"(?>.*?{piece})" for piece in middle) + f".*{tail}"
    return re.compile(expression, re.DOTALL)


def _pieces(tokens: list[tuple[str, str]]) -> list[str]:
    """Return the expressions of what stands between stars."""
    pieces: list[str] = [""]
    for kind, text in tokens:
        if kind == "any":
            pieces.append("")
        else:
            pieces[-1] += re.escape(text) if kind == "literal" else "." if kind == "one" else text
    return pieces
