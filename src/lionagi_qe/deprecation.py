"""Names of arguments that changed: the old ones work, and warn."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def renamed(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that takes keyword arguments by their old names (old="new"), too.

    Whoever says an old name gets a DeprecationWarning with the new one. Once nobody needs them any
    more (see CONTRIBUTING, "Deprecation"), the decorator goes.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old in names.keys() & kwargs.keys():
                new = names[old]
                if new in kwargs:
                    msg = f"{function.__qualname__}: {old}= is the old name of {new}=; give one"
                    raise TypeError(msg)
                warnings.warn(
                    f"{function.__qualname__}: {old}= is called {new}= now",
                    DeprecationWarning,
                    stacklevel=2,
                )
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate
