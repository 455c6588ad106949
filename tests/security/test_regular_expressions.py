"""No regular expression of the package takes a time that grows faster than the text it reads."""

from __future__ import annotations

import ast
import functools
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lionagi_qe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHARACTERS = 32_000
# Of the processor; what grows with the length alone takes a hundredth, with its square several.
LIMIT_SECONDS = 0.1
ROOT = Path(lionagi_qe.__file__).parent
USES = ("search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer")
# What such expressions try again and again, beside what each of them is made of.
PIECES = ("a", "A", "1", "_", " ", ".", "\n", "a.", "Aa", "a=")


@dataclass(frozen=True)
class Expression:
    """An expression, and the calls by which it reads texts."""

    where: str
    pattern: re.Pattern[str]
    uses: tuple[str, ...]


@functools.cache
def expressions() -> tuple[Expression, ...]:
    """Return those that stand in the package's sources, whether they are named or not."""
    return tuple(_expressions())


def _expressions() -> Iterator[Expression]:
    for path in sorted(ROOT.rglob("*.py")):
        where = path.relative_to(ROOT)
        # The test kit reads what tests make.
        if where.parts[0] == "testing":
            continue
        text = path.read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Assign | ast.AnnAssign) and _function(node.value) == "compile":
                name = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
                used = set(re.findall(rf"\b{re.escape(name)}\.(\w+)\(", text))
                yield from _made(f"{where}:{name}", node.value, tuple(used & {*USES}) or USES)
            elif (use := _function(node)) in USES:
                yield from _made(f"{where}:{getattr(node, 'lineno', 0)}", node, (use,))


def _function(node: ast.AST | None) -> str:
    """Return what a call calls of the module re; "" for what is no such call."""
    called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    return called.removeprefix("re.") if called.startswith("re.") else ""


def _made(where: str, call: Any, uses: tuple[str, ...]) -> Iterator[Expression]:
    pattern, flags = call.args[0], 0
    if not isinstance(pattern, ast.Constant) or not isinstance(pattern.value, str):
        return
    for each in [*call.args[1:], *(word.value for word in call.keywords)]:
        for name in re.findall(r"re\.([A-Z]+)", ast.unparse(each)):
            flags |= getattr(re, name)
    yield Expression(where, re.compile(pattern.value, flags), uses)


def attacks(expression: Expression) -> Iterator[str]:
    """Yield long texts of what the expression has, over and over, and of what it can't end with."""
    dice = random.Random(18)
    source = expression.pattern.pattern
    own = list(dict.fromkeys(re.sub(r"\\[a-zA-Z]|[a-zA-Z0-9]", "", source)))[:10]
    words = re.findall(r"[A-Za-z0-9_:/.-]{3,}", source)[:3]
    base = [*PIECES, *own]
    pairs = ["".join(dice.choices(base, k=dice.randrange(2, 5))) for _ in range(10)]
    for unit in [*base, *pairs, *words]:
        yield (unit * (CHARACTERS // len(unit) + 1))[:CHARACTERS] + "\0"
    for head in own:
        yield head + "a" * CHARACTERS


def calls(expression: Expression, text: str) -> Iterator[Callable[[], object]]:
    """Yield what reads the text as the package does."""
    for use in expression.uses:
        call = getattr(expression.pattern, use)
        if use in {"sub", "subn"}:
            yield lambda call=call: call("", text)
        elif use == "finditer":
            yield lambda call=call: list(call(text))
        else:
            yield lambda call=call: call(text)


def seconds(call: Callable[[], object]) -> float:
    """Return the processor's seconds for a call: the least of up to two."""
    least = LIMIT_SECONDS
    for _ in range(2):
        start = time.process_time()
        call()
        least = min(least, time.process_time() - start)
        if least < LIMIT_SECONDS:
            break
    return least


def test_the_expressions_are_found() -> None:
    found = {each.where: each for each in expressions()}
    assert len(found) > 50
    assert found["persistence/values/redacted_text.py:_URL"].uses == ("sub",)
    assert found["persistence/values/redacted_text.py:_URL"].pattern.flags & re.IGNORECASE


@pytest.mark.parametrize("pattern", [r"\b[a-z][a-z0-9+.-]*://", r"\s+#"])
def test_an_expression_that_goes_back_again_and_again_is_found(pattern: str) -> None:
    slow = Expression("here", re.compile(pattern), ("search",))
    assert not is_quick(slow)


def test_no_expression_goes_back_again_and_again() -> None:
    slow = [each.where for each in expressions() if not is_quick(each)]
    assert slow == []


def test_no_group_is_repeated_possessively() -> None:
    """Python 3.11.0 to 3.11.4 end such a group early where it holds a choice: cpython #106052."""
    group = re.compile(r"\)(?:[*+?]|\{[\d,]+\})\+")
    assert group.search(r"(?:a|b)*+c")
    found = [each.where for each in expressions() if group.search(each.pattern.pattern)]
    found += [
        path.name
        for path in ROOT.rglob("*.py")
        if re.search(r're\.compile\(f".*\)[*+]\+', path.read_text())
    ]
    assert found == []


def is_quick(expression: Expression) -> bool:
    """Whether no attack takes longer than what grows with the length."""
    return all(
        seconds(call) < LIMIT_SECONDS
        for text in attacks(expression)
        for call in calls(expression, text)
    )
