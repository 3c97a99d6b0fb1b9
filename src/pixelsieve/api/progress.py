"""Progress while work goes on: bars in a terminal and in a notebook, lines elsewhere."""

from __future__ import annotations

import io
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
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


Told = bool | Callable[[str, Mapping[str, Any]], None]
"""Whether to show progress, or what is called with a job's name and the figures of each epoch."""

_REDRAWN_S = 0.5

_CELL = '<pre class="pixelsieve-progress">{code}</pre>'


class Bars(Progress):
    """Bars while in a `with` block, each with a `text` of its own at the end.

    They are on standard error, in a notebook in the cell's output. Without a terminal `say` prints
    lines in their place; nothing is printed unless `shown`.
    """

    def __init__(self, *, shown: bool = True) -> None:
        self.shown = shown
        self._cell = _Cell(self) if shown and _in_notebook() else None
        # A notebook's standard error says that it is a terminal; it cannot be drawn over.
        console = Console(stderr=True, force_jupyter=False)
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=console,
            disable=not shown or self._cell is not None or not console.is_terminal,
        )

    def start(self) -> None:
        """Show them."""
        super().start()
        if self._cell:
            self._cell.draw()

    def stop(self) -> None:
        """Show them for the last time."""
        super().stop()
        if self._cell:
            self._cell.draw()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change a bar."""
        super().update(task_id, **changes)
        if self._cell:
            self._cell.draw(at_least_s=_REDRAWN_S)

    def add(self, name: str, total: int | None = None) -> TaskID:
        """Show another bar."""
        return self.add_task(name, total=total, text="")

    def say(self, line: str) -> None:
        """Print a line if nothing shows bars."""
        if not (self.console.is_terminal or self._cell):
            self._line(line)

    def on_count(self, name: str) -> None:
        """Take note of a network whose LUTs are being counted."""
        self.step(f"LUTs of {name}")

    def step(self, what: str) -> None:
        """Say what is being done."""
        self._line(f"{what} ...")

    def tenths(self, what: str) -> Callable[[int, int], None]:
        """Return what is told `done` and `total`, and says so at every tenth."""

        def told(done: int, total: int) -> None:
            if done * 10 // total > (done - 1) * 10 // total:
                self._line(f"{what} {done} of {total}")

        return told

    def _line(self, line: str) -> None:
        if self._cell:
            self._cell.lines.append(line)
            self._cell.draw()
        elif self.shown:
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _in_notebook() -> bool:
    """Return whether this code runs in a kernel, not only beside its package."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class _Cell:
    """Bars in the output of a notebook's cell, under the last `lines`; drawn now and then."""

    def __init__(self, bars: Bars) -> None:
        from IPython.display import DisplayHandle

        self._bars = bars
        self._handle: Any = DisplayHandle()
        self._drawn: float | None = None
        self.lines: deque[str] = deque(maxlen=10)

    def draw(self, at_least_s: float = 0.0) -> None:
        """Draw the bars if that was not done within so many seconds."""
        from IPython.display import HTML

        now = time.monotonic()
        if self._drawn is not None and now - self._drawn < at_least_s:
            return
        show = self._handle.display if self._drawn is None else self._handle.update
        self._drawn = now
        console = Console(file=io.StringIO(), record=True, width=100, force_jupyter=False)
        for line in self.lines:
            console.print(line, highlight=False, markup=False)
        console.print(self._bars.get_renderable())
        show(HTML(console.export_html(inline_styles=True, code_format=_CELL)))


class TrainingProgress(Bars):
    """Bars: all epochs, and for each running job loss, AUC and learning rate.

    Without bars, one line per finished job. A callable `told` hears of every epoch instead.
    """

    def __init__(self, epochs: dict[str, int], told: Told = True) -> None:
        super().__init__(shown=told is True)
        self._told = None if isinstance(told, bool) else told
        self._epochs = epochs
        self._seen: dict[str, int] = {}
        self._trained = 0
        self._bars: dict[str, TaskID] = {}
        self._total = self.add("epochs", sum(epochs.values()))

    def on_report(self, name: str, record: dict[str, Any]) -> None:
        """Take note of a finished epoch."""
        if name not in self._epochs:
            return
        if self._told:
            self._told(name, record)
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
    """A bar that counts clusters; without bars, a line per tenth."""

    def __init__(self, what: str, total: int, *, shown: bool = True) -> None:
        super().__init__(shown=shown)
        self._what = what
        self._all = total
        self._done = 0
        self._bar = self.add(f"{what} clusters", total)

    def on_clusters(self, clusters: int) -> None:
        """Take note of clusters that are done."""
        before, self._done = self._done, self._done + clusters
        self.update(self._bar, advance=clusters)
        if self._all and self._done * 10 // self._all > before * 10 // self._all:
            self.say(f"{self._what} {self._done} of {self._all} clusters")


class StepProgress(Bars):
    """Bars that count named steps by phase; without bars, a line per step."""

    def __init__(self, *phases: str, shown: bool = True) -> None:
        super().__init__(shown=shown)
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
