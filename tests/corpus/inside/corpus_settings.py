"""Prints, as JSON, what coverage.py itself makes of the project's files in this directory."""

from __future__ import annotations

import json
import sys

from coverage import Coverage

config = Coverage().config
NAMES = (
    *("run_omit", "run_include", "report_omit", "report_include"),
    *("exclude_list", "partial_list", "partial_always_list"),
    *("concurrency", "plugins", "patch", "timid", "core"),
)
settings = {name: getattr(config, name, None) for name in NAMES}
settings["plugin_options"] = getattr(config, "plugin_options", {})
json.dump(settings, sys.stdout)
