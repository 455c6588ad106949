"""Whether the user chose a part of the project's tests, which says nothing of the whole."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

# What an option of the project's own settings leaves out, it leaves out each time.
_CHOOSING = (
    *("-k", "-m", "--deselect", "--ignore", "--ignore-glob", "--pyargs"),
    *("--lf", "--last-failed", "--sw", "--stepwise", "--sw-skip", "--stepwise-skip"),
    # Parts of other plugins: pytest-split, pytest-shard, pytest-testmon, pytest-picked.
    *("--splits", "--shard-id", "--testmon", "--picked"),
)


def narrowed_by(config: pytest.Config) -> str | None:
    """Return by which words the user chose a part of the tests; None for all of them."""
    words = [*map(str, config.invocation_params.args)]
    words += shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    for word in words:
        name = word.partition("=")[0]
        if name in _CHOOSING or (word[:2] in {"-k", "-m"} and not word.startswith("--")):
            return word
    source = config.args_source
    if source is config.ArgsSource.TESTPATHS:
        return None
    given = {config.invocation_params.dir / word for word in config.args}
    whole = {config.rootpath / path for path in config.getini("testpaths")}
    if config.rootpath in given or (whole and whole <= given):
        return None
    return " ".join(config.args)
