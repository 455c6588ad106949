"""Lets every process of an environment find the project in the copy, whatever PYTHONPATH it has.

Started by ``~aqe_roots.pth``, which comes after all others: ``*-nspkg.pth`` of old namespace
packages make these before anything is imported, and where they look. What is installed of the
project has no sources, so they have to look in the copy as well.
"""

from __future__ import annotations

import os
import sys


def _find() -> None:
    roots = [root for root in os.environ.get("AQE_ROOTS", "").split(os.pathsep) if root]
    sys.path += roots
    for name, module in list(sys.modules.items()):
        places = getattr(module, "__path__", None)
        if places is None or getattr(module, "__file__", None) is not None:
            continue
        for root in roots:
            place = os.path.join(root, *name.split("."))  # noqa: PTH118
            if os.path.isdir(place) and place not in places:  # noqa: PTH112
                places.append(place)


_find()
