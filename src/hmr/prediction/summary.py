"""What became of the pictures and people of a run: counted, said in a line, and an exit code."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hmr.errors import EXIT_PARTLY, EXIT_USER_ERROR
from hmr.prediction.result import Body


@dataclass
class RunSummary:
    """What happened to the pictures (or frames) and the people of a run.

    `reprojection_px` is the mean over the `fitted` people, before and after; `doubts` counts the
    reasons why people are uncertain, several a person where several apply.
    """

    pictures: int = 0
    predicted: int = 0
    finished_before: int = 0
    failed: int = 0
    without_people: int = 0
    people: int = 0
    uncertain: int = 0
    doubts: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    fitted: int = 0
    reprojection_px: tuple[float, float] = (0.0, 0.0)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0, 1 if a picture failed, a person was left out, or a video ended early, 2 if all failed.

        `EXIT_CODES` has the meaning of each.
        """
        if not self.problems:
            return 0
        return EXIT_PARTLY if self.predicted + self.finished_before else EXIT_USER_ERROR

    def line(self) -> str:
        """The final count in one line."""
        return (
            f"pictures {self.pictures}: {self.predicted} predicted, "
            f"{self.finished_before} finished before, {self.failed} failed; "
            f"people {self.people}, {self.left_out} left out; "
            f"pictures without people {self.without_people}"
            + self._doubts_line()
            + self._fit_line()
        )

    def _doubts_line(self) -> str:
        told = ", ".join(f"{count} {doubt}" for doubt, count in self.doubts.items())
        return f"\n{self.people} people, {self.uncertain} uncertain: {told}" if told else ""

    def _fit_line(self) -> str:
        before, after = self.reprojection_px
        told = f"keypoints {before:.1f} px of the crop off before and {after:.1f} px after"
        return f"\nfitted {self.fitted} of {self.people} people: {told}" if self.fitted else ""

    def count(self, bodies: list[Body]) -> None:
        """Adds bodies."""
        self.people += len(bodies)
        for body in bodies:
            self.uncertain += body.uncertain
            for doubt in body.doubts:
                self.doubts[doubt] = self.doubts.get(doubt, 0) + 1
            if np.isfinite(body.reprojection_px).all():
                self.fitted += 1
                step = (body.reprojection_px - self.reprojection_px) / self.fitted
                before, after = map(float, self.reprojection_px + step)
                self.reprojection_px = before, after
