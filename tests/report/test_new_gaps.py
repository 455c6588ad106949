"""A gap of coverage is new once: where there was none, or one of fewer lines."""

from __future__ import annotations

from typing import Any

import pytest

from lionagi_qe.fleet.new_gaps import newly_untested


def gap(*lines: int, branches: int = 1) -> dict[str, Any]:
    return {
        "file": "shop.py",
        "function": "price",
        "line": 3,
        "missed_lines": [*lines],
        "missed_branches": branches,
    }


@pytest.mark.parametrize(
    ("now", "before", "new"),
    [
        ([gap(4)], [], True),
        ([gap()], [], True),
        ([gap(4, 5)], [gap(4)], True),
        ([gap(4)], [gap()], True),
        ([gap(4)], [gap(4)], False),
        ([gap()], [gap()], False),
        ([gap(4)], [gap(4, 5)], False),
        ([gap()], [gap(4)], False),
    ],
)
def test_it_is_told_where_more_lines_than_before_are_missed(
    now: list[dict[str, Any]], before: list[dict[str, Any]], new: bool
) -> None:
    assert newly_untested(now, before) == (("price (shop.py:3)",) if new else ())
