"""Lets every process of an environment find the project in the copy, whatever PYTHONPATH it has.

Started by ``~aqe_roots.pth``, which comes after all others: ``*-nspkg.pth`` of old namespace
packages make these before anything is imported, and where they look. What is installed of the
project has no sources, or in an interpreter of the user's own leads to the user's tree (there the
launcher imports this), so they have to look in the copy first.
"""

from __future__ import annotations

import os
import sys


def _find() -> None:
    roots = [root for root in os.environ.get("AQE_ROOTS", "").split(os.pathsep) if root]
    sys.path += [root for root in roots if root not in sys.path]
    for name, module in list(sys.modules.items()):
        places = getattr(module, "__path__", None)
        # Of a package, a *-nspkg.pth makes the module and doesn't run it.
        has_run = hasattr(module, "__builtins__")
        if places is None or (has_run and getattr(module, "__file__", None) is not None):
            continue
        for root in reversed(roots):
            place = os.path.join(root, *name.split("."))  # noqa: PTH118
            if os.path.isdir(place) and place not in places:  # noqa: PTH112
                places = [place, *places]
                module.__path__ = places


_find()
