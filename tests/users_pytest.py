"""pytest as a user of the plugin starts it, within a test of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def as_for_a_user(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, config: pytest.Config
) -> None:
    """Have the memory where a user's would be, and no plugins of no use.

    Args:
        pytester: whose directory holds the user's state.
        monkeypatch: of the test.
        config: of our own session, for the plugins that it leaves out.

    """
    left_out = [name for name in config.getini("addopts") if name.startswith("no:")]
    monkeypatch.setenv(
        "PYTEST_ADDOPTS", " ".join(f"-p {name}" for name in [*left_out, "no:asyncio"])
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(pytester.mkdir("state")))
    monkeypatch.delenv("LIONAGI_QE_MEMORY", raising=False)
