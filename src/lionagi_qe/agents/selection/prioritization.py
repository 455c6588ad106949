"""In which order an agent has the tests run or listed, and what to tell of it afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.selection.change_overlap import touched
from lionagi_qe.learning.history import Candidate
from lionagi_qe.learning.proposal import Proposal, propose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.project.workspace import Workspace

POLICY = "order"
_NEVER_HUNTED = (
    "pytest's own order was kept: no hunt for flaky tests has shown yet that no test minds its "
    "order (aqe flaky, or --order learned)"
)


@dataclass(frozen=True, slots=True)
class TestOrder:
    """A decision on the order.

    Attributes:
        proposal: both rankings.
        ran: which one is followed; "given" for neither.
        why: it is that one.
        to_confirm: whether a failure in this order must be seen in pytest's own, too.
        candidates: the tests known from earlier runs.
    """

    __test__ = False

    proposal: Proposal
    ran: str
    why: str
    to_confirm: bool
    candidates: Mapping[str, Candidate]

    @property
    def changes(self) -> bool:
        """Whether another order than pytest's own is followed."""
        return self.ran != "given"

    def arguments(self) -> list[str]:
        """Return what pytest is to be told."""
        return ["-p", "aqe_order"] if self.changes else []

    def variables(self, workspace: Workspace) -> dict[str, str]:
        """Write the plugin's file; return the variable that names it."""
        if not self.changes:
            return {}
        chosen = self.proposal.chosen
        path = workspace.artifacts / "order.json"
        came = str(_came(workspace))
        document = {"places": dict(chosen.places), "new": chosen.new, "came": came}
        path.write_text(json.dumps(document), encoding="utf-8")
        return {"AQE_ORDER": str(path)}

    def notes(self, minding: Sequence[str]) -> list[str]:
        """Return what a reader of the results should know of their order, a sentence each."""
        if minding:
            names = ", ".join(minding)
            return [f"{names}: ended otherwise in pytest's own order, which counts and is kept"]
        return [self.why] if self.changes else []

    def names_as_given(self, workspace: Workspace, ran: Sequence[str]) -> list[str]:
        """Return the tests in pytest's own order, where ``ran`` is that of the run."""
        came = _came(workspace)
        if not self.changes or not came.exists():
            return list(ran)
        known = set(ran)
        given: list[str] = json.loads(came.read_text(encoding="utf-8"))
        # Names that are no Unicode read otherwise in the recording.
        return [name for name in given if name in known]

    def listed(self, names: Sequence[str]) -> list[str]:
        """Return some of the known tests, those to run first in front."""
        if not self.changes:
            return list(names)
        return [names[index] for index in self.proposal.chosen.arrange(names)]

    def as_details(self, names: Sequence[str], minding: Sequence[str] = ()) -> dict[str, Any]:
        """Return the decision as JSON data, for the memory to learn from.

        Args:
            names: of the tests, in pytest's own order.
            minding: tests that ended otherwise in pytest's own order.

        """
        usual = Candidate("", 0.0)
        known = [self.candidates.get(name, usual) for name in names]
        return {
            "ran": self.ran,
            "why": self.why,
            "tests": list(names),
            "durations": [test.duration for test in known],
            "touched": [round(test.touched, 4) for test in known],
            "learned": self.proposal.learned.arrange(names),
            "heuristic": self.proposal.heuristic.arrange(names),
            "minding": list(minding),
        }


def order_of(examination: Examination) -> TestOrder | None:
    """Decide on the order; None if nothing shall be decided by what was learned.

    Raises:
        LearningStateError: what was learned can't be read.

    """
    learned_state = examination.history.learned.get(POLICY)
    if learned_state is None:
        return None
    test_map = examination.history.test_map
    shares: dict[str, float] = {}
    if test_map is not None:
        shares = touched(examination.workspace.pristine, test_map, examination.diff)
    budget = examination.seconds(examination.settings.timeout)
    return decide(learned_state, shares, examination.settings.order, budget)


def decide(
    learned_state: Mapping[str, Any],
    shares: Mapping[str, float],
    setting: str,
    budget: float = float("inf"),
) -> TestOrder:
    """Decide on the order.

    Args:
        learned_state: that of the policy, with the tests' ``seconds`` and what was ``hunted``.
        shares: test -> how much it has to do with a change.
        setting: "auto", "learned" or "default".
        budget: the seconds that there are for the tests.

    Raises:
        LearningStateError: what was learned can't be read.

    """
    candidates = {
        name: Candidate(name, seconds, shares.get(name, 0.0))
        for name, seconds in learned_state["seconds"].items()
    }
    proposal = propose(learned_state, list(candidates.values()), budget)
    ran, why = _followed(setting, learned_state, proposal)
    to_confirm = setting == "auto" and ran != "given"
    if to_confirm:
        # A test that no hunt has tried may leave things behind, so it goes last.
        proposal = proposal.only(learned_state["hunted"]["tests"])
    return TestOrder(proposal, ran, why, to_confirm, candidates)


def follows(setting: str, learned_state: Mapping[str, Any]) -> bool:
    """Whether another order than pytest's own is to be followed."""
    if setting == "auto":
        hunted = learned_state["hunted"]
        return hunted is not None and not hunted["minding"]
    return setting == "learned"


def _followed(
    setting: str, learned_state: Mapping[str, Any], proposal: Proposal
) -> tuple[str, str]:
    if not follows(setting, learned_state):
        if setting == "default":
            return "given", "pytest's own order was kept: order = default"
        hunted = learned_state["hunted"]
        if hunted is None:
            return "given", _NEVER_HUNTED
        names = ", ".join(hunted["minding"][:3])
        return "given", f"pytest's own order was kept, since tests mind their order: {names}"
    if proposal.acting == "heuristic":
        return "heuristic", f"tests ran in order of recent failures: {proposal.reason}"
    return "learned", "tests ran in the learned order, the likeliest to fail first"


def _came(workspace: Workspace) -> Path:
    return workspace.artifacts / "came.json"
