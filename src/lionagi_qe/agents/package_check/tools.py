"""What twine and check-wheel-contents say of distributions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lionagi_qe.agents.finding import Finding
from lionagi_qe.agents.scan import Scan, failure_of, run_beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination

TWINE = "twine"
CONTENTS = "check-wheel-contents"
EXTRA = "package"
_TWINE_HELP = "https://twine.readthedocs.io/en/stable/#twine-check"
_CONTENTS_HELP = "https://github.com/jwodder/check-wheel-contents#checks"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TOLD_BY_TWINE = re.compile(r"(ERROR|WARNING)\s+(\S.*)")
_CHECKED_BY_TWINE = "Checking "
_TOLD_BY_CONTENTS = re.compile(r"\S.*: (W\d{3}): (\S.*?):?")
_FOUND = 1


async def twine(examination: Examination, distributions: Sequence[Path], place: str) -> Scan:
    """Return what ``twine check --strict`` finds; what wheel and sdist share is told once."""
    words = ["check", "--strict", *map(str, distributions)]
    scan, completed = await run_beside(
        examination, TWINE, "twine", words, brings=EXTRA, cwd=distributions[0].parent
    )
    if completed is None:
        return scan
    lines = _COLOURS.sub("", completed.output).splitlines()
    looked = any(line.startswith(_CHECKED_BY_TWINE) for line in lines)
    told = list(dict.fromkeys(_of_twine(lines)))
    if (
        completed.exit_code not in {0, _FOUND}
        or not looked
        or bool(completed.exit_code) > bool(told)
    ):
        return Scan(scan.source, reason=failure_of(TWINE, completed))
    release = str(scan.source.version)
    return Scan(
        scan.source,
        tuple(
            Finding(
                TWINE,
                release,
                f"metadata-{kind.lower()}",
                "metadata",
                "error" if kind == "ERROR" else "warning",
                message,
                place,
                url=_TWINE_HELP,
                fingerprint=message,
            )
            for kind, message in told
        ),
    )


def _of_twine(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each message, which goes on in indented lines."""
    kind, said = "", list[str]()
    for line in (*lines, "Checking"):
        match = _TOLD_BY_TWINE.match(line)
        if kind and (match or not line.startswith(" ")):
            yield kind, " ".join(" ".join(said).split())
            kind = ""
        if match:
            kind, said = match[1], [match[2]]
        elif kind:
            said.append(line)


async def contents(examination: Examination, wheel: Path, place: str) -> Scan:
    """Return what check-wheel-contents finds, by the project's own settings of it."""
    scan, completed = await run_beside(
        examination,
        CONTENTS,
        "check_wheel_contents",
        [str(wheel)],
        brings=EXTRA,
        reads=[wheel.parent],
    )
    if completed is None:
        return scan
    told = list(_of_contents(completed.output.splitlines()))
    if completed.exit_code not in {0, _FOUND} or bool(completed.exit_code) != bool(told):
        return Scan(scan.source, reason=failure_of(CONTENTS, completed))
    release = str(scan.source.version)
    return Scan(
        scan.source,
        tuple(
            Finding(
                CONTENTS,
                release,
                rule,
                name,
                "warning",
                f"{name}: {', '.join(files)}" if files else name,
                place,
                url=_CONTENTS_HELP,
                fingerprint=" ".join(files),
            )
            for rule, name, files in told
        ),
    )


def _of_contents(lines: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield rule, name and files of each failed check."""
    rule, name, files = "", "", list[str]()
    for line in lines:
        match = _TOLD_BY_CONTENTS.fullmatch(line)
        if match:
            if rule:
                yield rule, name, files
            rule, name, files = match[1], match[2], []
        elif rule and line.startswith(" "):
            files.append(line.strip())
    if rule:
        yield rule, name, files
