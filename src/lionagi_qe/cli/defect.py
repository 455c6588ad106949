"""What a person is told of a defect of ours: what to report, and that it isn't their project's."""

from __future__ import annotations

import platform
import traceback
from typing import TYPE_CHECKING

from lionagi_qe import __version__
from lionagi_qe.cli.ending import mention
from lionagi_qe.cli.exits import Exit

if TYPE_CHECKING:
    from lionagi_qe.fleet.run import Outcome

_ASKED = (
    "this is a defect of aqe, not of what it was asked to look at; please report it with the lines "
    "above and the command"
)


def tell_defect(error: BaseException) -> Exit:
    """Write an error that no part of ours expects on standard error; return the exit code."""
    _mention("".join(traceback.format_exception(error)))
    return Exit.INFRASTRUCTURE


def tell_defects(outcome: Outcome) -> Exit:
    """Do the same for agents of ours that ended by such errors."""
    for trace in outcome.defects.values():
        _mention(trace)
    return Exit.INFRASTRUCTURE


def _mention(trace: str) -> None:
    system = f"{platform.system()} {platform.machine()}"
    mention(trace.rstrip())
    mention(f"aqe {__version__}, Python {platform.python_version()}, {system}: {_ASKED}")
