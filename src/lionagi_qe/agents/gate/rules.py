"""Rules of the quality gate, as people write them: ``security_findings > 0`` fails the gate."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_RULE = re.compile(r"\s*(\w+)\s*(<=|>=|==|!=|<|>)\s*([-+]?\d+(?:\.\d+)?)\s*%?\s*")


@dataclass(frozen=True, slots=True)
class Rule:
    """Fails the gate when the comparison holds."""

    metric: str
    comparison: str
    limit: float

    def __str__(self) -> str:
        return f"not {self.metric} {self.comparison} {self.limit:g}"

    def fails(self, value: float) -> bool:
        """Whether a value of the metric fails the gate."""
        return _COMPARISONS[self.comparison](value, self.limit)


def parse_rules(texts: Iterable[str]) -> list[Rule]:
    """Return the rules that the texts state.

    Raises:
        InvalidArgumentError: one of them is no rule.

    """
    rules: list[Rule] = []
    for text in texts:
        match = _RULE.fullmatch(text)
        if match is None:
            raise InvalidArgumentError(
                f"fail-on {text!r}: is no rule; write METRIC, one of < <= > >= == !=, and a "
                "number, for example 'security_findings > 0'"
            )
        rules.append(Rule(match[1], match[2], float(match[3])))
    return rules
