"""A run as pages for a browser, which need no server and no network.

``write_pages`` is the door; the pages are in ``templates``, what they look like and do in
``assets``. Everything in them that a project had a say in is text: it is escaped by the templates,
and what can't be seen in it is spelled out.
"""

from __future__ import annotations

from lionagi_qe.fleet.report.html.pages import MARKER, write_pages

__all__ = ["MARKER", "write_pages"]
