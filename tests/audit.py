"""What pip-audit found of an environment, told so that "nothing found" means that it looked.

By itself pip-audit ends well, too, where its source knows none of the packages, as behind a mirror
without that service: each is skipped then, and nothing was measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

OWN = "aqe-fleet"
PASSED, VULNERABLE, NOT_MEASURED = 0, 1, 4
SHOWN = 5


def verdict(output: str, complaints: str) -> tuple[int, list[str]]:
    """Return the exit code, and the lines that say why, of what pip-audit wrote as JSON."""
    try:
        packages: list[dict[str, Any]] = [
            each for each in json.loads(output)["dependencies"] if each["name"] != OWN
        ]
    except (ValueError, KeyError, TypeError):
        reason = (complaints.strip().splitlines() or ["it wrote no JSON"])[-1]
        return NOT_MEASURED, [f"known vulnerabilities: not measured: pip-audit: {reason}"]
    looked = [each for each in packages if "skip_reason" not in each]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    found = [
        f"{each['name']} {each['version']}: {vulnerability['id']}, mended in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for each in looked
        for vulnerability in each["vulns"]
    ]
    told = [f"known vulnerabilities: {len(found)} in {len(looked)} packages", *found]
    if not looked:
        told.clear()
    if skipped or not looked:
        told.append(
            f"known vulnerabilities: not measured for {len(skipped)} of {len(packages)} packages, "
            f"of which the source knows nothing: {listed(skipped) or 'there are none'}"
        )
    if found:
        return VULNERABLE, told
    return (PASSED if looked and not skipped else NOT_MEASURED), told


def listed(names: Iterable[str]) -> str:
    """Return the first names, and how many there are more."""
    names = sorted(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def main(pip_audit: str, packages: str) -> int:
    """Look at the packages in a directory with the program of this path; return the exit code."""
    done = subprocess.run(
        [pip_audit, "--path", packages, "--format", "json", "--progress-spinner", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    code, told = verdict(done.stdout, done.stderr)
    print("\n".join(told))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
