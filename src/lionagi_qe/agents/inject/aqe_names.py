"""What the fleet calls a test: pytest's id of it, cut where that has the size of a document.

A parameter's value is part of the id, be it megabytes of it; there an id is kept, compared and
shown hundreds of times. Old syntax, the standard library alone, as in ``aqe_launch``.
PYTEST_DONT_REWRITE: it is imported before pytest is.
"""

from __future__ import annotations

import hashlib

_LONGEST = 2000


def known_as(nodeid: str) -> str:
    """Return an id of at most 2,000 characters; of longer ones the start, and a digest of it all.

    Who starts pytest by such an id finds no test: it is one for the fleet's own plugins.
    """
    if len(nodeid) <= _LONGEST:
        return nodeid
    digest = hashlib.sha256(nodeid.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    end = f"...{digest}]" if nodeid.endswith("]") else f"...{digest}"
    return nodeid[: _LONGEST - len(end)] + end
