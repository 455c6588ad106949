"""The live console: what a memory holds and what a fleet does, as pages; an ASGI application."""

from lionagi_qe.web.application import app

__all__ = ["app"]
