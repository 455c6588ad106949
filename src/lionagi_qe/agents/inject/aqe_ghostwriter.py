"""Writes a property-based test of one function, by Hypothesis' ghostwriter.

``aqe_ghostwriter OUT MODULE FUNCTION EXCEPTION...``: the exceptions (of builtins) are those that
the function may raise. Runs in the target's interpreter, since the function's types decide.
"""

from __future__ import annotations

import builtins
import sys
from importlib import import_module


def main() -> None:
    """Write the test to OUT."""
    from hypothesis.extra import ghostwriter

    out, module, name, *exceptions = sys.argv[1:]
    function = getattr(import_module(module), name)
    allowed = tuple(getattr(builtins, each) for each in exceptions)
    source = ghostwriter.fuzz(function, except_=allowed)
    with open(out, "w", encoding="utf-8") as file:  # noqa: PTH123 - as the other plugins
        file.write(source)


if __name__ == "__main__":
    main()
