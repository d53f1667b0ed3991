"""What is wrong with a TrainingRun, told so that a person can mend it."""

from __future__ import annotations

from dataclasses import dataclass

SHOWN = 8
"""Problems on one screen; the others are counted."""
_WIDEST_EXCERPT = 100


@dataclass(frozen=True)
class Problem:
    """One fault: where it is, what is wrong, and how to mend it."""

    message: str
    path: str = ""
    """The field, for example spec.train.epochs or spec.data.sources[0].path."""
    cure: str = ""
    file: str = ""
    line: int = 0
    """From 1; 0 where the object did not come from a text."""
    column: int = 0
    """From 1."""
    excerpt: str = ""
    """The line at fault."""

    def render(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        head = ": ".join(part for part in (place, self.path, self.message) if part)
        lines = [head]
        if self.excerpt.strip():
            lines += self._pointer()
        if self.cure:
            lines.append(f"  cure: {self.cure}")
        return "\n".join(lines)

    def _pointer(self) -> list[str]:
        column = max(self.column - 1, 0)
        start = max(0, column - _WIDEST_EXCERPT // 2) if len(self.excerpt) > _WIDEST_EXCERPT else 0
        shown = self.excerpt[start : start + _WIDEST_EXCERPT].replace("\t", " ")
        number = str(self.line)
        return [f"  {number} | {shown}", f"  {' ' * len(number)} | {' ' * (column - start)}^"]


class SpecError(Exception):
    """A TrainingRun cannot be accepted. Holds every problem that was found, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems[0].render() if problems else "the TrainingRun is not valid")
        self.problems = problems

    def render(self) -> str:
        """All that fits on a screen."""
        parts = [problem.render() for problem in self.problems[:SHOWN]]
        more = len(self.problems) - SHOWN
        if more > 0:
            parts.append(f"and {more} more {'problem' if more == 1 else 'problems'}")
        return "\n".join(parts)

    def __str__(self) -> str:
        return self.render()


def dotted(path: tuple[str | int, ...]) -> str:
    """A path as people write it: spec.data.sources[0].path."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
