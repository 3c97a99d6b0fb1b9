"""QKeras quantizers as fixed-point grids, exactly or not at all."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.importing.scales import auto_po2, frozen
from pixelsieve.importing.values import Settings, refused
from pixelsieve.networks.fixed_point import FixedPoint, exact_grid

STRICT_HEADS = frozenset({"sigmoid", "tanh"})
"""Functions that always rise: behind the logit they change no order of the clusters."""

HEADS = STRICT_HEADS | {
    f"{kind}_{name}" for kind in ("hard", "quantized", "smooth") for name in STRICT_HEADS
}
"""Functions that never fall; those that are not strict give one value to many logits."""

_LONGEST = 1000
_MOST_BITS = 32
_LARGEST = 1e300

_DEFAULTS: Mapping[str, Settings] = {
    "quantized_bits": {
        "bits": 8,
        "integer": 0,
        "symmetric": 0,
        "keep_negative": True,
        "alpha": None,
        "use_stochastic_rounding": False,
        "scale_axis": None,
        "qnoise_factor": 1.0,
        "var_name": None,
        "use_ste": True,
        "use_variables": False,
        "post_training_scale": None,
    },
    "quantized_relu": {
        "bits": 8,
        "integer": 0,
        "use_sigmoid": 0,
        "negative_slope": 0.0,
        "use_stochastic_rounding": False,
        "relu_upper_bound": None,
        "is_quantized_clip": True,
        "qnoise_factor": 1.0,
        "var_name": None,
        "use_ste": True,
        "use_variables": False,
    },
}
# Arguments in QKeras's order with its defaults (0.9.0).

_TRAINING_ONLY = {"use_stochastic_rounding", "var_name", "use_ste", "use_variables", "scale_axis"}
# At inference QKeras rounds half to even whatever these say; an axis matters to 'auto' alone.


@dataclass(frozen=True, slots=True)
class WeightGrid:
    """A weight quantizer: the grid, a power-of-two `factor`, and whether symmetric.

    What is not `shared` has a scale or bits of its own for each channel or weight: `grid` is then
    the finest, on which all stand, and weights are taken as they are.
    """

    grid: FixedPoint
    factor: float = 1.0
    symmetric: bool = False
    shared: bool = True

    def latent(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Weights whose nearest values on `grid` are what QKeras makes of `values`, exactly."""
        changed = np.asarray(values, np.float32) * np.float32(self.factor)
        if self.symmetric:
            changed = np.maximum(changed, np.float32(-self.grid.maximum))
        return changed

    def used(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The values that the file's own program computes with."""
        return self.grid.quantize(self.latent(values)).astype(np.float32)

    def __str__(self) -> str:
        told = "" if self.shared else " at most"
        return f"{self.grid}{told}{' symmetric' if self.symmetric else ''}"


@dataclass(frozen=True, slots=True)
class Function:
    """An activation or quantizer by name, with its settings (defaults filled in)."""

    name: str
    settings: Settings
    where: str

    def __str__(self) -> str:
        if self.name not in _DEFAULTS:
            return self.name
        return f"{self.name}({self.settings['bits']},{self.settings['integer']})"

    def rounded(
        self, values: NDArray[np.float32], *, kernel: bool
    ) -> tuple[NDArray[np.float32], WeightGrid]:
        """Return a kernel or bias and the grid that makes of it what QKeras computes with.

        Values whose scale follows them are rounded here. Raise `ConfigError` as `weights` does, and
        where the scale is not certain.
        """
        alpha, scale = self._alpha(kernel=kernel), self.settings.get("post_training_scale")
        scaled = alpha == "auto_po2" or (alpha == "auto" and scale is not None)
        if self.name != "quantized_bits" or not scaled:
            return values, self.weights(kernel=kernel)
        self._require_own_axis(values)
        grid = self._signed(shift=0)
        integer = grid.integer_bits
        try:
            if scale is None:
                exact = auto_po2(values, grid.bits, integer)
            else:
                exact = frozen(values, grid.bits, integer, _array(scale))
        except ConfigError as error:
            raise refused(self.where, f"{self} {error}") from error
        least = exact_grid(exact)
        if least.bits > grid.bits:
            return exact, WeightGrid(least, shared=False)
        return exact, WeightGrid(
            FixedPoint(signed=True, bits=grid.bits, integer_bits=least.integer_bits)
        )

    def _alpha(self, *, kernel: bool) -> Any:
        alpha = self.settings.get("alpha")
        return ("auto_po2" if kernel else 1) if alpha is None else alpha  # QDense takes None so

    def _require_own_axis(self, values: NDArray[np.float32]) -> None:
        axis = self.settings["scale_axis"]
        if axis not in (None, values.ndim - 1, [values.ndim - 1]) or isinstance(axis, bool):
            raise refused(self.where, f"{self} has scale_axis = {axis}; expected the last one")

    def _signed(self, *, shift: int) -> FixedPoint:
        if not self.settings["keep_negative"]:
            msg = f"{self.where}: {self} drops negative weights; expected keep_negative = True"
            raise ConfigError(msg)
        return self._grid(signed=True, shift=shift)

    def weights(self, *, kernel: bool) -> WeightGrid:
        """The grid of `quantized_bits` on a kernel or a bias; else `ConfigError`."""
        self._require("quantized_bits", "weights")
        scale = self.settings["post_training_scale"]
        if scale is not None:
            told = str(scale)[:60]
            raise refused(self.where, f"{self} has post_training_scale = {told} without 'auto'")
        alpha = self._alpha(kernel=kernel)
        if isinstance(alpha, str) or not _is_number(alpha) or not alpha > 0:
            raise refused(
                self.where,
                f"{self} has alpha = {alpha!r}: a scale that follows the weights, no power of two; "
                "expected 'auto_po2', 1 or another power of two (train with it, or import a "
                "float model)",
            )
        shift = math.log2(alpha)
        if not shift.is_integer():
            raise refused(self.where, f"{self} has alpha = {alpha:g}; expected a power of two")
        grid = self._signed(shift=int(shift))
        return WeightGrid(grid, float(alpha), bool(self.settings["symmetric"]))

    def input(self, *, reaches_lowest: bool) -> FixedPoint:
        """The grid of `quantized_bits` on an input; a symmetric one needs inputs never near -1."""
        self._require("quantized_bits", "inputs")
        settings = self.settings
        if settings["alpha"] not in {None, 1} or not settings["keep_negative"]:
            msg = f"{self.where}: {self} on an input; expected alpha = 1 and keep_negative = True"
            raise ConfigError(msg)
        if settings["symmetric"] and reaches_lowest:
            msg = (
                f"{self.where}: {self} is symmetric, without the -1 that this input reaches; "
                "expected symmetric = 0"
            )
            raise ConfigError(msg)
        return self._grid(signed=True)

    def activation(self) -> FixedPoint:
        """The grid of `quantized_relu`, which is the relu too."""
        self._require("quantized_relu", "hidden activations")
        settings = self.settings
        for name in ("use_sigmoid", "negative_slope"):
            if settings[name]:
                msg = f"{self.where}: {self} with {name} = {settings[name]}; expected a plain relu"
                raise ConfigError(msg)
        grid = self._grid(signed=False)
        bound = settings["relu_upper_bound"]
        if bound is not None and bound < grid.maximum:
            msg = f"{self.where}: {self} is cut at {bound}, inside its range; expected no bound"
            raise ConfigError(msg)
        return grid

    def require_never_falls(self) -> None:
        """Raise `ConfigError` if a larger number may become a smaller one, or any the same."""
        if self.name == "quantized_bits":
            alpha = self.settings["alpha"]
            if alpha is not None and (not _is_number(alpha) or alpha <= 0):
                msg = f"{self.where}: {self} has alpha = {alpha!r}; expected a positive one or none"
                raise ConfigError(msg)
        elif self.name == "quantized_relu":
            slope = self.settings["negative_slope"] or 0
            if not _is_number(slope) or slope < 0:
                msg = f"{self.where}: {self} has negative_slope = {slope!r}; expected none below 0"
                raise ConfigError(msg)

    def _require(self, name: str, what: str) -> None:
        if self.name != name:
            raise refused(self.where, f"'{self.name}' on {what} is not supported; expected {name}")

    def _grid(self, *, signed: bool, shift: int = 0) -> FixedPoint:
        bits, integer = (
            _whole(self.settings[k], f"{self.where}: {k}") for k in ("bits", "integer")
        )
        if not 1 + signed <= bits <= _MOST_BITS or abs(integer + shift) > _MOST_BITS:
            raise refused(self.where, f"{self}: expected {1 + signed} to {_MOST_BITS} bits")
        return FixedPoint(signed, bits, integer + shift)


def read_function(value: Any, where: str) -> Function | None:
    """An activation or quantizer as Keras and QKeras write it: a name, a call, a JSON object.

    None, `linear` and nothing are None. Text is parsed, never run. Raises `ConfigError` naming
    `where` for what cannot be read and for settings that are unknown or leave the grid.
    """
    if isinstance(value, dict):
        name, settings = value.get("class_name"), value.get("config", {})
        if isinstance(settings, str):  # Keras 3 writes a plain function so
            name, settings = settings, {}
        function = _function(name, settings, where)
    elif isinstance(value, str):
        function = _call(value, where)
    elif value is None:
        return None
    else:
        function = _function(None, None, where)
    return None if function.name == "linear" else function


def _call(text: str, where: str) -> Function:
    try:
        tree = ast.parse(text[:_LONGEST], mode="eval").body
        if isinstance(tree, ast.Name):
            return _function(tree.id, {}, where)
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            names = list(_DEFAULTS.get(tree.func.id, {}))
            given = [(names[i] if i < len(names) else f"#{i}", a) for i, a in enumerate(tree.args)]
            given += [(k.arg or "**", k.value) for k in tree.keywords]
            settings = {name: ast.literal_eval(value) for name, value in given}
            return _function(tree.func.id, settings, where)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        pass
    return _function(None, text[:40], where)


def _function(name: Any, settings: Any, where: str) -> Function:
    if not isinstance(name, str) or not isinstance(settings, dict):
        raise refused(where, f"cannot read {settings!r} as an activation or quantizer")
    if name not in _DEFAULTS:
        return Function(name, settings, where)
    known = _DEFAULTS[name]
    for key, value in settings.items():
        if key not in known and value not in (None, False):
            raise refused(where, f"{name} has {key} = {value!r}, which is not known here")
        if key not in known or key in _TRAINING_ONLY:
            continue
        if key == "post_training_scale" and isinstance(settings.get("alpha"), str):
            continue
        if not (value is None or isinstance(value, str) or _is_number(value)):
            raise refused(where, f"{name} has {key} = {str(value)[:60]}; expected one number")
    full = {**known, **settings}
    if full["qnoise_factor"] != 1:
        raise refused(
            where, f"{name} has qnoise_factor = {full['qnoise_factor']}; expected 1, all rounded"
        )
    if not full.get("is_quantized_clip", True):
        raise refused(where, f"{name} without is_quantized_clip is not supported")
    return Function(name, full, where)


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float)) and abs(value) < _LARGEST


@np.errstate(all="ignore")
def _array(value: Any) -> NDArray[np.float32]:
    try:
        return np.asarray(value, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        msg = "has a post_training_scale that is no array of numbers; the file is damaged"
        raise ConfigError(msg) from error


def _whole(value: Any, where: str) -> int:
    if not _is_number(value) or value != int(value):
        msg = f"{where} is {value!r}; expected a whole number"
        raise ConfigError(msg)
    return int(value)
