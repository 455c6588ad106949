"""The files that a run leaves: which are asked for, and how they are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.agents.project.version_control import place_in_repository
from lionagi_qe.cli.examination import check_writable, exit_code_of_run, tell
from lionagi_qe.cli.output import say
from lionagi_qe.files import write_bytes
from lionagi_qe.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from lionagi_qe.cli.exits import Exit
    from lionagi_qe.fleet.request import Request
    from lionagi_qe.fleet.run import Outcome


# Each imports its own report, since most runs write none of them.
def _json(outcome: Outcome, code: int) -> bytes:
    from lionagi_qe.fleet.report.json import as_json

    return as_json(outcome, code).encode() + b"\n"


def _junit(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.report.junit import as_junit

    return as_junit(outcome)


def _markdown(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.report.markdown import as_markdown

    return as_markdown(outcome).encode()


def _sarif(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.report.sarif import as_sarif

    return as_sarif(outcome, place_in_repository(outcome.path)).encode() + b"\n"


def _annotations(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.report.annotations import as_annotations

    return as_annotations(outcome, place_in_repository(outcome.path)).encode(
        errors="backslashreplace"
    )


def _code_quality(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.report.code_quality import as_code_quality

    return as_code_quality(outcome, place_in_repository(outcome.path)).encode() + b"\n"


def _cobertura(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.report.cobertura import as_cobertura

    return as_cobertura(outcome)


def _durations(outcome: Outcome, _: int) -> bytes:
    from lionagi_qe.fleet.shards.durations import as_durations

    return as_durations(outcome).encode()


_FORMS: dict[str, Callable[[Outcome, int], bytes]] = {
    "json": _json,
    "junit": _junit,
    "md": _markdown,
    "sarif": _sarif,
    "github": _annotations,
    "gitlab": _code_quality,
    "cobertura": _cobertura,
    "durations": _durations,
}
# The form that is a directory.
_PAGES = "html"


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --report and --junit."""
    for option in reversed(
        (
            click.option(
                "--report",
                "reports",
                multiple=True,
                metavar="FORM=FILE",
                help="Write a report: html=DIR (pages for a browser), junit=F, sarif=F, json=F, "
                "md=F, github=F (annotations for GitHub Actions, once printed), gitlab=F (code "
                "quality), cobertura=F (coverage), durations=F (for --durations); several "
                "separated by commas.",
            ),
            click.option(
                "--junit",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="The same as --report junit=.",
            ),
        )
    ):
        command = option(command)
    return command


def finish(
    outcome: Outcome, request: Request, files: list[tuple[str, Path]], *, as_document: bool
) -> Exit:
    """Write the reports of a run, tell what it found, and return its exit code."""
    code = exit_code_of_run(outcome)
    pages = write_reports(outcome, request, code, files)
    code = tell(outcome, code, as_document=as_document)
    for first in pages:
        # Last, where it is found and clicked.
        say(f"pages     {first}", err=as_document)
    return code


def write_reports(
    outcome: Outcome, request: Request, code: int, files: list[tuple[str, Path]]
) -> list[Path]:
    """Write the reports that were asked for; return the first page of those that have pages."""
    pages: list[Path] = []
    for form, file in files:
        if form == _PAGES:
            from lionagi_qe.cli.report import write_outcome

            pages.append(write_outcome(outcome, request, file))
        else:
            write_bytes(file, _FORMS[form](outcome, code), "shared")
    return pages


def report_files(
    reports: tuple[str, ...], junit: Path | None, only: Collection[str] = (_PAGES, *_FORMS)
) -> list[tuple[str, Path]]:
    """Return form and file of each report to write; UsageError for what can't be written.

    Args:
        reports: FORM=FILE, several separated by commas.
        junit: the file of one more.
        only: the forms that there are.

    """
    files = [] if junit is None else [("junit", junit)]
    if junit is not None:
        check_writable("--junit", junit)
    for word in ",".join(reports).split(",") if reports else ():
        form, separator, name = word.partition("=")
        if form not in only or not separator or not name:
            known = ", ".join(f"{each}={'DIR' if each == _PAGES else 'FILE'}" for each in only)
            near = nearest(form, only) if form not in only else []
            told = f"did you mean {' or '.join(near)}? " if near else ""
            raise click.UsageError(f"--report {word}: {told}write one of {known}")
        if form == _PAGES:
            from lionagi_qe.cli.report import check_directory

            check_directory(f"--report {word}:", Path(name))
        else:
            check_writable(f"--report {word}:", Path(name))
        files.append((form, Path(name)))
    return files
