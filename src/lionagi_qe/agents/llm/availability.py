"""Whether a model can be asked from here; imports nothing that is asked for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.extras import lacking

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def needing_lionagi() -> Generator[None]:
    """Have imports say what to install, should LionAGI be missing.

    Raises:
        InvalidArgumentError: LionAGI, or what another extra brings, is not installed.

    """
    try:
        yield
    except ModuleNotFoundError as error:
        lack = lacking(error)
        if lack is None:
            raise
        raise InvalidArgumentError(f"--model {lack}") from error
