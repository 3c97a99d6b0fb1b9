"""Progress displays on standard error."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from pixelsieve.studies.search.run import Progress as SearchStep


class _Bars:
    """Bars on standard error while in a `with` block; `extra` columns come last."""

    def __init__(self, *extra: ProgressColumn) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            *extra,
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def on_count(self, name: str) -> None:
        """Take note of a network whose LUTs are being counted."""
        self._console.print(f"LUTs of {name} ...", highlight=False, soft_wrap=True)


class TrainingProgress(_Bars):
    """Bars on standard error: all epochs, and for each running job loss, AUC and learning rate.

    Where standard error is no terminal, one line a finished job instead.
    """

    def __init__(self, epochs: dict[str, int]) -> None:
        super().__init__(TextColumn("{task.fields[figures]}"))
        self._epochs = epochs
        self._seen: dict[str, int] = {}
        self._finished = 0
        self._bars: dict[str, TaskID] = {}
        total = sum(epochs.values())
        self._total = self._progress.add_task("epochs", total=total, figures="")

    def on_report(self, name: str, record: dict[str, Any]) -> None:
        """Take note of a finished epoch."""
        if name not in self._epochs:
            return
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=self._epochs[name], figures="")
        figures = (
            f"loss {record['validation_loss']:.4f}  AUC {record['validation_auc']:.4f}  "
            f"rate {record['learning_rate']:.1e}"
        )
        done = int(record["epoch"]) + 1
        self._progress.update(self._bars[name], completed=done, figures=figures)
        self._count(name, done)

    def on_done(self, name: str) -> None:
        """Take note of a finished job."""
        if name not in self._epochs:
            return
        self._finished += 1
        self._count(name, self._epochs[name])
        bar = self._bars.pop(name, None)
        if bar is not None:
            self._progress.remove_task(bar)
        if not self._console.is_terminal:
            epochs = f"{sum(self._seen.values())} of {sum(self._epochs.values())} epochs"
            self._console.print(
                f"{name} trained; in all {self._finished} of {len(self._epochs)} trainings, "
                f"{epochs}",
                highlight=False,
                soft_wrap=True,
            )

    def _count(self, name: str, done: int) -> None:
        self._seen[name] = done
        self._progress.update(self._total, completed=sum(self._seen.values()))


class ClusterProgress(_Bars):
    """A bar on standard error that counts clusters; where that is no terminal, a line a tenth."""

    def __init__(self, what: str, total: int | None) -> None:
        super().__init__()
        self._what = what
        self._total = total
        self._done = 0
        self._bar = self._progress.add_task(f"{what} clusters", total=total)

    def advance(self, clusters: int) -> None:
        """Take note of clusters that are done."""
        before, self._done = self._done, self._done + clusters
        self._progress.advance(self._bar, clusters)
        if self._total and not self._console.is_terminal:
            tenth = self._total / 10
            if self._done // tenth > before // tenth:
                self._console.print(
                    f"{self._what} {self._done} of {self._total} clusters", highlight=False
                )


class StepProgress(_Bars):
    """A bar on standard error that counts named steps; where that is no terminal, a line a step."""

    def __init__(self, what: str) -> None:
        super().__init__(TextColumn("{task.fields[step]}"))
        self._what = what
        self._bar = self._progress.add_task(what, total=None, step="")

    def on_step(self, name: str, done: int, total: int) -> None:
        """Take note of a step that is done."""
        self._progress.update(self._bar, completed=done, total=total, step=name)
        if not self._console.is_terminal:
            line = f"{self._what}: {done} of {total}  {name}"
            self._console.print(line, highlight=False, markup=False)


class SearchProgress(_Bars):
    """Bars on standard error: trials, with front and hypervolume, then the final training.

    Where standard error is no terminal, one line a finished trial instead.
    """

    def __init__(self) -> None:
        super().__init__(TextColumn("{task.fields[figures]}"))
        self._bars: dict[str, TaskID] = {}
        self._done: dict[str, int] = {}

    def on_progress(self, step: SearchStep) -> None:
        """Take note of how far the search is."""
        figures = f"front {step.front}  hypervolume {step.hypervolume:.4f}" if step.front else ""
        if step.phase not in self._bars:
            self._bars[step.phase] = self._progress.add_task(
                step.phase, total=step.total, figures=""
            )
        self._progress.update(self._bars[step.phase], completed=step.done, figures=figures)
        if step.done > self._done.get(step.phase, 0) and not self._console.is_terminal:
            line = f"{step.phase}: {step.done} of {step.total}  {figures}".rstrip()
            self._console.print(line, highlight=False)
        self._done[step.phase] = step.done
