"""Builds what the project ships, and takes it as somebody else would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from packaging.requirements import InvalidRequirement

from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.environment.installer import Installer
from lionagi_qe.agents.environment.requirements import is_installable
from lionagi_qe.agents.finding import Finding, fingerprinted
from lionagi_qe.agents.metric import Metric, Source
from lionagi_qe.agents.package_check import tools
from lionagi_qe.agents.package_check.trial import Built, NotTried, Trial, build, try_out
from lionagi_qe.agents.package_check.wheel import modules_of, requirements_of, without_lowest
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.agents.scan import Scan, details_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.project.workspace import Workspace

_NO_PACKAGE = "the project says nothing of how it is built, so it ships nothing"
_NOT_BUILT = "the project can't be built"


class PackageChecker(Agent):
    """The wheel builds from the sdist, installs in a bare environment, and its modules import.

    Beside that its metadata, its contents, and the lowest versions that it says it works with.
    """

    name: ClassVar[str] = "package-checker"
    metrics: ClassVar[Mapping[str, str]] = {
        "package_build_failures": "builds",
        "package_metadata_problems": "findings",
        "package_content_problems": "findings",
        "package_import_failures": "modules",
        "lowest_import_failures": "modules",
    }

    async def examine(self, examination: Examination) -> Findings:
        """Build, look and install; each in a copy and environments of its own."""
        workspace = examination.workspace
        installer = Installer.find()
        uv = Source(installer.name, installer.version, "uv build", workspace.commit)
        if not is_installable(workspace.pristine, read_pyproject(workspace.pristine)):
            return self.unmeasured(uv, _NO_PACKAGE)
        with workspace.fork("package") as fork:
            examination.progress(Step(self.name, "building the distributions"))
            try:
                built = await build(examination, fork)
            except NotTried as error:
                reason = workspace.shown(str(error))
                details = details_of([Scan(uv, reason=reason)], ())
                return Findings(self.name, self.unmeasured(uv, reason).metrics, details)
            return await _Check(self, examination, fork, built, uv).findings()


@dataclass(frozen=True, slots=True)
class _Check:
    """What is looked at once the build has ended."""

    agent: PackageChecker
    examination: Examination
    fork: Workspace
    built: Built
    uv: Source

    async def findings(self) -> Findings:
        """Return the findings of all."""
        if self.built.complaint is not None:
            return self._unbuilt(self.built.complaint)
        place, wheel = self._place(), self.built.wheel
        self._tell("looking at the wheel")
        twine = await tools.twine(self.examination, self.built.files, place)
        contents = await tools.contents(self.examination, wheel, place)
        modules = modules_of(wheel)
        self._tell("installing the wheel in a bare environment")
        bare = await self._try("bare", [str(wheel)], modules)
        lowest = await self._lowest(bare, modules)
        uv = Scan(
            self.uv,
            (*self._of_trial("bare", bare, place), *self._of_trial("lowest", lowest, place)),
            next((each for each in (bare, lowest) if isinstance(each, str)), None),
        )
        found = (*twine.findings, *contents.findings, *uv.findings)
        return Findings(
            self.agent.name,
            tuple(self._figures(twine, contents, bare, lowest)),
            details_of(
                (twine, contents, uv), fingerprinted(found, self.examination.workspace.pristine)
            ),
        )

    def _unbuilt(self, complaint: str) -> Findings:
        place = self._place()
        finding = self._finding("package-build", "the project can't be built", complaint, place)
        others = self.agent.unmeasured(self.uv, f"{_NOT_BUILT}: {complaint}").metrics[1:]
        failed = self.uv.measured("package_build_failures", 1, "builds")
        found = fingerprinted([finding], self.examination.workspace.pristine)
        return Findings(
            self.agent.name, (failed, *others), details_of([Scan(self.uv, (finding,))], found)
        )

    async def _lowest(self, bare: Trial | str, modules: list[str]) -> Trial | str:
        try:
            required = requirements_of(self.built.wheel)
        except InvalidRequirement as error:
            return f"a requirement of the wheel is none: {error}"
        if not required:
            # Nothing to choose versions of: it is the same environment.
            return bare
        if open_ones := without_lowest(required):
            return f"no lowest version is stated for {', '.join(open_ones)}, so none is promised"
        self._tell("installing the lowest versions of what it requires")
        # As requirements of ours: only those count as direct ones.
        lines = [str(self.built.wheel), *map(str, required)]
        return await self._try("lowest", lines, modules, "lowest-direct")

    async def _try(
        self, name: str, lines: list[str], modules: list[str], resolution: str | None = None
    ) -> Trial | str:
        try:
            return await try_out(
                self.examination,
                self.fork,
                name=name,
                requirements=lines,
                modules=modules,
                resolution=resolution,
            )
        except NotTried as error:
            return self._shown(str(error))

    def _figures(
        self, twine: Scan, contents: Scan, bare: Trial | str, lowest: Trial | str
    ) -> Iterator[Metric]:
        yield self.uv.measured("package_build_failures", 0, "builds")
        for name, scan in (
            ("package_metadata_problems", twine),
            ("package_content_problems", contents),
        ):
            yield scan.source.told(name, len(scan.findings), "findings", scan.reason)
        for name, trial in (("package_import_failures", bare), ("lowest_import_failures", lowest)):
            if isinstance(trial, str):
                yield self.uv.unmeasured(name, "modules", trial)
            else:
                yield self.uv.measured(name, len(trial.failed), "modules")

    def _of_trial(self, name: str, trial: Trial | str, place: str) -> Iterator[Finding]:
        if isinstance(trial, str):
            return
        where = {"bare": "a bare environment", "lowest": "one of the lowest versions"}[name]
        for module, why in trial.failed.items():
            message = f"{module} can't be imported in {where}: {self._shown(why)}"
            yield self._finding(f"{name}-import", "import", message, place, module)

    def _finding(
        self, rule: str, name: str, message: str, place: str, fingerprint: str = ""
    ) -> Finding:
        version = str(self.uv.version)
        return Finding(
            self.uv.tool, version, rule, name, "error", message, place, fingerprint=fingerprint
        )

    def _shown(self, text: str) -> str:
        return self.examination.workspace.shown(self.fork.shown(text))

    def _tell(self, text: str) -> None:
        self.examination.progress(Step(self.agent.name, text))

    def _place(self) -> str:
        """Return the file that says how the project is built."""
        pristine = self.examination.workspace.pristine
        names = ("pyproject.toml", "setup.cfg", "setup.py")
        return next(name for name in names if (pristine / name).is_file())
