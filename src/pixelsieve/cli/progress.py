"""Progress displays on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from pixelsieve.studies.search.run import Progress as SearchStep


class Bars(Progress):
    """Bars on standard error while in a `with` block, each with a `text` of its own at the end."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )

    def add(self, name: str, total: int | None = None) -> TaskID:
        """Show another bar."""
        return self.add_task(name, total=total, text="")

    def say(self, line: str) -> None:
        """Print a line if there is no terminal to show bars."""
        if not self.console.is_terminal:
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def on_count(self, name: str) -> None:
        """Take note of a network whose LUTs are being counted."""
        self.console.print(f"LUTs of {name} ...", highlight=False, soft_wrap=True)


class TrainingProgress(Bars):
    """Bars: all epochs, and for each running job loss, AUC and learning rate.

    If standard error is no terminal, one line per finished job instead.
    """

    def __init__(self, epochs: dict[str, int]) -> None:
        super().__init__()
        self._epochs = epochs
        self._seen: dict[str, int] = {}
        self._trained = 0
        self._bars: dict[str, TaskID] = {}
        self._total = self.add("epochs", sum(epochs.values()))

    def on_report(self, name: str, record: dict[str, Any]) -> None:
        """Take note of a finished epoch."""
        if name not in self._epochs:
            return
        if name not in self._bars:
            self._bars[name] = self.add(name, self._epochs[name])
        text = (
            f"loss {record['validation_loss']:.4f}  AUC {record['validation_auc']:.4f}  "
            f"rate {record['learning_rate']:.1e}"
        )
        done = int(record["epoch"]) + 1
        self.update(self._bars[name], completed=done, text=text)
        self._count(name, done)

    def on_done(self, name: str) -> None:
        """Take note of a finished job."""
        if name not in self._epochs:
            return
        self._trained += 1
        self._count(name, self._epochs[name])
        if name in self._bars:
            self.remove_task(self._bars.pop(name))
        self.say(
            f"{name} trained; in all {self._trained} of {len(self._epochs)} trainings, "
            f"{sum(self._seen.values())} of {sum(self._epochs.values())} epochs"
        )

    def _count(self, name: str, done: int) -> None:
        self._seen[name] = done
        self.update(self._total, completed=sum(self._seen.values()))


class ClusterProgress(Bars):
    """A bar that counts clusters; if standard error is no terminal, a line per tenth."""

    def __init__(self, what: str, total: int) -> None:
        super().__init__()
        self._what = what
        self._all = total
        self._done = 0
        self._bar = self.add(f"{what} clusters", total)

    def on_clusters(self, clusters: int) -> None:
        """Take note of clusters that are done."""
        before, self._done = self._done, self._done + clusters
        self.advance(self._bar, clusters)
        if self._all and self._done * 10 // self._all > before * 10 // self._all:
            self.say(f"{self._what} {self._done} of {self._all} clusters")


class StepProgress(Bars):
    """Bars that count named steps by phase; if standard error is no terminal, a line per step."""

    def __init__(self, *phases: str) -> None:
        super().__init__()
        self._bars = {phase: self.add(phase) for phase in phases}
        self._done: dict[str, int] = {}

    def on_step(self, phase: str, name: str, done: int, total: int) -> None:
        """Take note of the steps that are done, the last of that name."""
        if phase not in self._bars:
            self._bars[phase] = self.add(phase)
        self.update(self._bars[phase], completed=done, total=total, text=name)
        if done > self._done.get(phase, 0):
            self.say(f"{phase}: {done} of {total}  {name}".rstrip())
        self._done[phase] = done

    def on_search(self, step: SearchStep) -> None:
        """Take note of how far a search is."""
        text = f"front {step.front}  hypervolume {step.hypervolume:.4f}" if step.front else ""
        self.on_step(step.phase, text, step.done, step.total)
