"""Asks pip-audit for known vulnerabilities of what is installed for the project."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from packaging.utils import canonicalize_name

from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.dependency_audit.installed import declared_at, places_of, required_by
from lionagi_qe.agents.environment.declared.own import own_requirements
from lionagi_qe.agents.finding import Finding, fingerprinted
from lionagi_qe.agents.project.metadata import project_name
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.agents.scan import Scan, details_of, failure_of, run_beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.metric import Metric

TOOL = "pip-audit"
EXTRA = "audit"
_SERVICES = frozenset({"pypi", "osv"})
_MOST_NAMED = 5
_LONGEST = 300
_REQUIREMENTS_UNREAD = "it can't be read what the project itself requires"


class DependencyAuditor(Agent):
    """pip-audit over the environment of the project's tests.

    What its service knows nothing of was not looked at; a service that can't be reached, or knows
    none of the packages, as behind a mirror, leaves all figures unmeasured.
    """

    name: ClassVar[str] = "dependency-auditor"
    metrics: ClassVar[Mapping[str, str]] = {
        "vulnerable_dependencies": "packages",
        "vulnerable_runtime_dependencies": "packages",
        "vulnerabilities": "vulnerabilities",
        "dependencies_audited": "packages",
        "dependencies_unaudited": "packages",
    }

    async def examine(self, examination: Examination) -> Findings:
        """Look up each package once; names and versions go to the service, nothing else."""
        service = examination.settings.vulnerability_service
        examination.progress(Step(self.name, f"asking {service} for known vulnerabilities"))
        places = places_of(examination.environment.python)
        words = ["--vulnerability-service", service]
        if service not in _SERVICES:
            words = ["--vulnerability-service", "osv", "--osv-url", service]
        target = examination.workspace.scans / "audit.json"
        quiet = [word for place in places for word in ("--path", place)]
        quiet += ["--format", "json", "--output", str(target), "--progress-spinner", "off"]
        quiet += ["--cache-dir", str(examination.workspace.scans / "audit-cache")]
        scan, completed = await run_beside(
            examination, TOOL, "pip_audit", words, quiet, brings=EXTRA, network=True
        )
        if completed is not None:
            try:
                packages = json.loads(target.read_text(encoding="utf-8"))["dependencies"]
            except (OSError, ValueError, LookupError):
                scan = replace(scan, reason=failure_of(TOOL, completed))
            else:
                return self._told(examination, scan, _Audit.of(examination, packages, places))
        return self._silent(scan)

    def _silent(self, scan: Scan) -> Findings:
        metrics = self.unmeasured(scan.source, str(scan.reason)).metrics
        return Findings(self.name, metrics, details_of([scan], ()))

    def _told(self, examination: Examination, scan: Scan, audit: _Audit) -> Findings:
        if not audit.looked:
            unknown = ", ".join(audit.skipped[:_MOST_NAMED]) or "nothing is installed"
            reason = f"the service knows none of the packages: {unknown}"
            return self._silent(replace(scan, reason=reason))
        found = fingerprinted(
            audit.findings(str(scan.source.version)), examination.workspace.pristine
        )
        notes = [f"known vulnerabilities: not looked up for {each}" for each in audit.told_skipped]
        return Findings(
            self.name,
            tuple(self._figures(scan, audit)),
            details_of([scan], found),
            tuple(notes),
        )

    def _figures(self, scan: Scan, audit: _Audit) -> Iterator[Metric]:
        bad = [each for each in audit.looked if each["vulns"]]
        values: dict[str, int | None] = {
            "vulnerable_dependencies": len(bad),
            "vulnerable_runtime_dependencies": None
            if audit.runtime is None
            else sum(canonicalize_name(each["name"]) in audit.runtime for each in bad),
            "vulnerabilities": sum(len(each["vulns"]) for each in bad),
            "dependencies_audited": len(audit.looked),
            "dependencies_unaudited": len(audit.skipped),
        }
        for name, value in values.items():
            reason = _REQUIREMENTS_UNREAD if value is None else None
            yield scan.source.told(name, value, self.metrics[name], reason)


@dataclass(frozen=True, slots=True)
class _Audit:
    """What pip-audit told.

    Attributes:
        looked: packages that its service knows, with their vulnerabilities.
        skipped: names of the others.
        runtime: names of what the product itself requires, directly or not; None if that isn't
            known.
        places: name -> file and line of the project where it is declared.
        file: where what is not declared is told.
    """

    looked: Sequence[Mapping[str, Any]]
    skipped: Sequence[str]
    runtime: set[str] | None
    places: Mapping[str, tuple[str, int]]
    file: str

    @classmethod
    def of(
        cls, examination: Examination, packages: Sequence[Mapping[str, Any]], places: Sequence[str]
    ) -> _Audit:
        pristine = examination.workspace.pristine
        pyproject = read_pyproject(pristine)
        own = canonicalize_name(project_name(examination.workspace.project, pyproject))
        others = [each for each in packages if canonicalize_name(each["name"]) != own]
        roots = own_requirements(pristine, pyproject)
        declared = declared_at(pristine, (canonicalize_name(each["name"]) for each in others))
        files = ("pyproject.toml", "setup.cfg", "setup.py", "requirements.txt")
        there = (name for name in files if (pristine / name).is_file())
        return cls(
            [each for each in others if "skip_reason" not in each],
            sorted(each["name"] for each in others if "skip_reason" in each),
            None if roots is None else required_by(roots, places),
            declared,
            next(there, "."),
        )

    @property
    def told_skipped(self) -> list[str]:
        """The names of the packages that were skipped, as a part of a sentence; [] for none."""
        if not self.skipped:
            return []
        more = len(self.skipped) - _MOST_NAMED
        named = ", ".join(self.skipped[:_MOST_NAMED])
        return [f"{named}{f' and {more} more' if more > 0 else ''}: the service knows none of them"]

    def findings(self, version: str) -> Iterator[Finding]:
        """Yield a finding a vulnerability."""
        for package in self.looked:
            name = canonicalize_name(package["name"])
            file, line = self.places.get(name, (self.file, None))
            needed = self.runtime is not None and name in self.runtime
            for each in package["vulns"]:
                fixed = ", ".join(each["fix_versions"]) or "no version yet"
                aliases = f" ({', '.join(each['aliases'])})" if each.get("aliases") else ""
                text = " ".join((each.get("description") or "").split())[:_LONGEST]
                yield Finding(
                    TOOL,
                    version,
                    each["id"],
                    "known vulnerability",
                    "error" if needed else "warning",
                    f"{package['name']} {package['version']}: {each['id']}{aliases}, mended in "
                    f"{fixed}{'' if needed else '; not required by the product itself'}: {text}",
                    file,
                    line,
                    line,
                    f"https://osv.dev/vulnerability/{each['id']}",
                    fingerprint=f"{name} {each['id']}",
                )
