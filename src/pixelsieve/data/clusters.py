"""`Clusters`: the one table that every stage shares, in physical units, checked when built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import differences
from pixelsieve.core.errors import DataError
from pixelsieve.data.detector import MUON_COLLIDER_VXD, Detector
from pixelsieve.display.axes import draw_image
from pixelsieve.display.html import table_html
from pixelsieve.display.shown import HasRows, one_line
from pixelsieve.display.spec import Table, numbers, table

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

LOWEST_CHARGE_E = -1.0
"""Lowest pixel charge taken as data, in electrons (the real samples hold three at -0.1 e)."""

HIGHEST_CHARGE_E = 1e12
"""No pixel holds so much; sums of more leave the range of float32."""


_IMAGES = {"pixels_e": 1, "slices_e": 2}
"""Columns of images, and how many axes come before rows and columns."""


Columns = dict[str, Any]
"""Columns and what belongs to them, as arguments of `Clusters`."""


@dataclass(frozen=True, slots=True)
class Clusters(HasRows):
    """Clusters of charge with what the readout knows of them.

    Shapes: `pixels_e` (n, rows, columns) of the detector's window, `slices_e` (n, slices, rows,
    columns), everything else (n,). `pixels_e` is the charge at the end of collection, `slices_e`
    the charge seen by the end of each time slice of `detector.sensor.slice_ps`. Units are in the
    names. `hit_time_measured_ns` is the time as a front end measured it. `signal` is 1 for muons
    and 0 for beam-induced background. `truth` holds columns that no network may see
    (`hit_time_ns`, `total_charge_e`, `truth_*`). `code_values_e` are the charges that the codes
    0, 1, 2, ... of a front end's ADC stand for, empty where there was none. `origin` and
    `first_row` name the source in error messages. Raise `DataError` (column, row, what was
    expected) on NaN, a collected charge below -1 e, wrong shapes, labels other than 0 and 1, and
    empty tables; `truth` may be NaN. What is built is checked; what is selected or joined from it
    is not again.

    Examples
    --------
    >>> clusters = data.test
    >>> near = clusters[abs(clusters.z_global_mm) < 20]  # also an index, a slice
    >>> near.pixels_e.shape == (len(near), 13, 21)
    True
    >>> ax = near.plot(0)
    >>> near.to_pandas()["signal"].isin([0, 1]).all()
    np.True_
    """

    pixels_e: NDArray[np.float32]
    signal: NDArray[np.int8]
    z_global_mm: NDArray[np.float32]
    y_local_mm: NDArray[np.float32]
    hit_time_30ps_ns: NDArray[np.float32] | None = None
    hit_time_60ps_ns: NDArray[np.float32] | None = None
    hit_time_measured_ns: NDArray[np.float32] | None = None
    group_id: NDArray[np.int64] | None = None
    event_id: NDArray[np.int64] | None = None
    slices_e: NDArray[np.float32] | None = None
    truth: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    code_values_e: tuple[float, ...] = ()
    detector: Detector = MUON_COLLIDER_VXD
    origin: str = "clusters"
    first_row: int = 0

    def __post_init__(self) -> None:
        _check(self, self.columns())

    def __len__(self) -> int:
        return len(self.pixels_e)

    def __getitem__(self, rows: int | slice | NDArray[Any]) -> Clusters:
        """Return the clusters at `rows`: an index, a slice, a mask or several indices.

        Raise `IndexError` for an index out of range, `DataError` if nothing is left.
        """
        if isinstance(rows, int | np.integer):
            index = range(len(self))[rows]
            return self.select(slice(index, index + 1))
        return self.select(rows)

    def __repr__(self) -> str:
        counts = f"{len(self)} clusters: {self.n_signal} signal, {len(self) - self.n_signal} BIB"
        rows, columns = self.window
        return one_line("Clusters", counts, f"{rows} x {columns} pixels", self.detector.name)

    def _repr_html_(self) -> str:
        return table_html(self._summary())

    def _summary(self) -> Table:
        """Return the range of each column of both classes."""
        classes = [self.signal == 1, self.signal == 0]
        rows = []
        for name, column in self.columns().items():
            if name != "signal":
                ranges = [_range(column[inside]) for inside in classes]
                rows.append((name, " x ".join(map(str, column.shape[1:])), *ranges))
        return table(repr(self), ("column", "shape", *numbers("signal", "BIB")), rows)

    def plot(self, row: int = 0, ax: Axes | None = None) -> Axes:
        """Draw the charge of one cluster in electrons; pixels without charge are blank."""
        pixels_e = self[row].pixels_e[0]
        kind = "signal" if self[row].signal[0] else "BIB"
        place = f"z {self.z_global_mm[row]:.1f} mm, y {self.y_local_mm[row]:.1f} mm"
        return draw_image(pixels_e, f"{kind}, {place}", ax)

    def to_arrow(self) -> pa.Table:
        """Return all columns as Arrow's, images as lists of a fixed size, row by row."""
        import pyarrow as pa

        columns: dict[str, pa.Array] = {}
        for name, values in self.columns().items():
            if name in _IMAGES:
                flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
                size = int(np.prod(values.shape[1:]))
                # Saying that no charge is missing spares a file the mark of each.
                kind = pa.list_(pa.field("item", pa.float32(), nullable=False), size)
                columns[name] = pa.FixedSizeListArray.from_arrays(flat, type=kind)
            else:
                columns[name] = pa.array(values)
        fields = [pa.field(name, one.type, nullable=False) for name, one in columns.items()]
        return pa.table(columns, pa.schema(fields))

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of the readout window."""
        return self.detector.sensor.rows, self.detector.sensor.columns

    @property
    def adc_bits(self) -> int:
        """Bits of the codes of the ADC that made `pixels_e`, 0 without one."""
        return max(len(self.code_values_e) - 1, 0).bit_length()

    @property
    def n_signal(self) -> int:
        """Number of signal clusters."""
        return int(np.count_nonzero(self.signal))

    def columns(self) -> dict[str, NDArray[Any]]:
        """All arrays by column name, truth included, absent columns left out."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in named.items() if isinstance(v, np.ndarray)} | dict(self.truth)

    def require_both_classes(self) -> None:
        """Raise `DataError` if one of the two classes is missing."""
        require_both_classes(self.origin, self.n_signal, len(self) - self.n_signal)

    def require_detector_of(self, other: Clusters) -> None:
        """Raise `DataError` if `other` comes from another detector."""
        if self.detector != other.detector:
            found = differences(self.detector, other.detector)
            found.pop("name", None)
            shown = [f"{k} {a} instead of {b}" for k, (a, b) in list(found.items())[:2]]
            more = f" and {len(found) - 2} more" if len(found) > 2 else ""  # noqa: PLR2004
            constants = f" ({', '.join(shown)}{more})" if shown else ""
            msg = (
                f"{self.origin}: clusters of detector '{self.detector.name}', but "
                f"{other.origin} is of '{other.detector.name}'{constants}; give files of one "
                "detector"
            )
            raise DataError(msg)

    def select(self, rows: NDArray[Any] | slice, origin: str | None = None) -> Clusters:
        """Return the clusters at `rows` (a mask, indices or a slice); raise `DataError` for none.

        They were checked when the table was built, and are not again.
        """
        truth = {name: column[rows] for name, column in self.truth.items()}
        columns = {n: c[rows] for n, c in self.columns().items() if n not in truth}
        chosen = _with(self, **columns, truth=truth, origin=origin or self.origin, first_row=0)
        _require_some(chosen)
        return chosen

    def replace(self, **changes: Any) -> Clusters:
        """Return the same clusters with other columns, which are checked."""
        changed = _with(self, **changes)
        if changed.detector != self.detector or len(changed) != len(self):
            _check(changed, changed.columns())
        else:
            new = {*changes, *(changed.truth if "truth" in changes else ())}
            _check(changed, {n: c for n, c in changed.columns().items() if n in new})
        return changed

    def groups(self) -> NDArray[np.uint64]:
        """The particle group of each cluster: `group_id`, or a hash of its pixels without one."""
        if self.group_id is not None:
            return self.group_id.astype(np.uint64)
        return hash_pixels(self.pixels_e)


def _range(values: NDArray[Any]) -> str:
    if not values.size:
        return "-"
    return f"{values.min():.5g} to {values.max():.5g}"


def _require_some(clusters: Clusters) -> None:
    if len(clusters) == 0:
        msg = f"{clusters.origin}: holds no clusters; expected at least one"
        raise DataError(msg)


def _check(clusters: Clusters, columns: Mapping[str, NDArray[Any]]) -> None:
    """Raise `DataError` if one of the named columns does not fit the table or the detector."""
    _require_some(clusters)
    n = len(clusters)
    for name, column in columns.items():
        if name in _IMAGES and (shape := column.shape[_IMAGES[name] :]) != clusters.window:
            msg = (
                f"{clusters.origin}: column '{name}' has shape {shape} a cluster; expected "
                f"{clusters.window} ({clusters.detector.name})"
            )
            raise DataError(msg)
    for name, column in columns.items():
        if len(column) != n:
            msg = f"{clusters.origin}: column '{name}' has {len(column)} rows; expected {n}"
            raise DataError(msg)
        if name not in clusters.truth and column.dtype.kind == "f":
            _refuse(clusters, name, ~np.isfinite(column), "not a finite number; mend or drop it")
    if "pixels_e" in columns:
        low, high = LOWEST_CHARGE_E, HIGHEST_CHARGE_E
        for beyond, what in (
            (clusters.pixels_e < low, f"a charge below {low:g} e"),
            (clusters.pixels_e > high, f"a charge above {high:g} e"),
        ):
            _refuse(clusters, "pixels_e", beyond, f"{what}; expected collected electrons")
    if "signal" in columns:
        wrong = ~np.isin(clusters.signal, (0, 1))
        _refuse(clusters, "signal", wrong, "neither 0 (BIB) nor 1 (signal)")


def _refuse(clusters: Clusters, name: str, bad: NDArray[np.bool_], what: str) -> None:
    if not bad.any():
        return
    position = np.unravel_index(int(np.argmax(bad)), bad.shape)
    pixel = f", pixel {tuple(int(i) for i in position[1:])}" if bad.ndim > 1 else ""
    value = clusters.columns()[name][position]
    row = clusters.first_row + int(position[0])
    msg = f"{clusters.origin}: column '{name}', row {row}{pixel}: {value:g} is {what}"
    raise DataError(msg)


def _with(clusters: Clusters, **changes: Any) -> Clusters:
    """Return the same table with other columns, unchecked."""
    made = object.__new__(Clusters)
    for name, value in (
        {f.name: getattr(clusters, f.name) for f in fields(clusters)} | changes
    ).items():
        object.__setattr__(made, name, value)
    return made


def hash_pixels(pixels_e: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A 64-bit hash of the pixel charges of each cluster (equal charges, equal hash)."""
    count = int(np.prod(pixels_e.shape[1:]))  # -1 does not work for no clusters
    words = (pixels_e.reshape(len(pixels_e), count) + np.float32(0)).view(np.uint32)
    state = np.zeros(len(words), dtype=np.uint64)
    for column in range(words.shape[1]):
        state = splitmix64(state ^ words[:, column].astype(np.uint64))
    return state


def splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64-bit integers well (Steele, Lea and Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def require_both_classes(origin: str, n_signal: int, n_bib: int) -> None:
    """Raise `DataError`, naming `origin`, if one of the two counts of clusters is 0."""
    for name, count in (("signal", n_signal), ("BIB", n_bib)):
        if count == 0:
            msg = f"{origin}: column 'signal': no {name} clusters; both classes are needed"
            raise DataError(msg)


def concatenate(parts: Sequence[Clusters], origin: str | None = None) -> Clusters:
    """Join tables; optional and truth columns are kept if every part has them.

    So are the values of ADC codes if all parts have the same. Raise `DataError` if some parts have
    `group_id` and others do not, and if they come from different detectors.
    """
    for part in parts:
        part.require_detector_of(parts[0])
    with_ids = [p for p in parts if p.group_id is not None]
    if with_ids and len(with_ids) < len(parts):
        without = next(p for p in parts if p.group_id is None)
        msg = f"{without.origin}: column 'group_id' is missing, but {with_ids[0].origin} has it"
        raise DataError(msg)
    names = set.intersection(*(set(p.columns()) for p in parts))
    truth_names = set.intersection(*(set(p.truth) for p in parts)) & names
    joined: Columns = {n: np.concatenate([p.columns()[n] for p in parts]) for n in sorted(names)}
    truth = {n: joined.pop(n) for n in sorted(truth_names)}
    values = {p.code_values_e for p in parts}
    absent = dict.fromkeys(parts[0].columns().keys() - names - parts[0].truth.keys())
    return _with(
        parts[0],
        **absent,
        **joined,
        truth=truth,
        code_values_e=values.pop() if len(values) == 1 else (),
        origin=origin or parts[0].origin,
        first_row=0,
    )
