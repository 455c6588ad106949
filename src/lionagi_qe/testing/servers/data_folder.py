"""Where the data of local servers lie."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

DATA_VARIABLE = "LIONAGI_QE_SERVER_DATA"


def new_data_folder(server: str) -> Path:
    """Make a folder for one server's data: under ``$LIONAGI_QE_SERVER_DATA``, else for temporaries.

    On a RAM disk (``/dev/shm``) servers answer sooner, since their fsync costs nothing there; data
    outlive a server that is killed all the same.
    """
    return Path(
        tempfile.mkdtemp(prefix=f"lionagi-qe-{server}-", dir=os.environ.get(DATA_VARIABLE) or None)
    )
