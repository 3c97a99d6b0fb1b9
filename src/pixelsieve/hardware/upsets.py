"""Single bit flips in stored weights: which layer and bit costs how much rejection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.data.clusters import Clusters
from pixelsieve.integer.layers import IntegerLayer
from pixelsieve.integer.network import IntegerNetwork
from pixelsieve.metrics.metrics import rejection_at

Codes: TypeAlias = Mapping[str, NDArray[np.int64]]
Widths: TypeAlias = Mapping[str, int | NDArray[np.int64]]
"""Bits per stored code, sign included: one number per layer, or per weight (0: not stored)."""
Run: TypeAlias = Callable[[dict[str, NDArray[np.int64]]], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Flip:
    """One flipped bit: of the weight at the flat `index` of `layer`."""

    layer: str
    index: int
    bit: int


@dataclass(frozen=True, slots=True)
class BitLoss:
    """The cost of flips of one bit of one layer, as differences from the unhurt network.

    `rejection_loss` is taken at the wanted signal efficiency, the threshold set anew;
    `efficiency_loss` at the unhurt network's threshold. Losses are positive if it got worse.
    """

    layer: str
    bit: int
    flips: int
    stored_bits: int
    mean_rejection_loss: float
    worst_rejection_loss: float
    worst_index: int
    mean_efficiency_loss: float
    worst_efficiency_loss: float


@dataclass(frozen=True, slots=True)
class FlipStudy:
    """The unhurt network at `efficiency`, and a row per layer and bit (low bit first)."""

    efficiency: float
    rejection: float
    threshold: float
    exhaustive: bool
    rows: tuple[BitLoss, ...]


def flip_codes(codes: NDArray[np.int64], width: int, bit: int) -> NDArray[np.int64]:
    """Flip `bit` of every code of `width` bits. Raises `ConfigError` outside the width."""
    if not 0 <= bit < width <= 63:  # noqa: PLR2004 (int64 holds no more)
        msg = f"bit {bit} of a code of {width} bits; expected 0 to {width - 1} (width 63 at most)"
        raise ConfigError(msg)
    half = 1 << (width - 1)
    if np.any((codes < -half) | (codes >= half)):
        msg = f"codes: some lie outside {width} bits ({-half} to {half - 1}); check the widths"
        raise ConfigError(msg)
    stored = (codes & ((half << 1) - 1)) ^ (1 << bit)
    return np.asarray((stored ^ half) - half, dtype=np.int64)


def flip(codes: Codes, widths: Widths, where: Flip) -> dict[str, NDArray[np.int64]]:
    """Copy the weights with one bit flipped; the other layers are shared.

    Raises `ConfigError` for an unknown layer, index or bit.
    """
    if where.layer not in codes or where.layer not in widths:
        known = ", ".join(codes)
        msg = f"layer '{where.layer}': no codes or no width of it; known: {known}"
        raise ConfigError(msg)
    hurt = np.array(codes[where.layer], dtype=np.int64)
    if not 0 <= where.index < hurt.size:
        msg = f"layer '{where.layer}': no weight {where.index}; expected 0 to {hurt.size - 1}"
        raise ConfigError(msg)
    width = int(_width(codes, widths, where.layer)[where.index])
    flat = hurt.reshape(-1)
    flat[[where.index]] = flip_codes(flat[[where.index]], width, where.bit)
    return {**codes, where.layer: hurt}


def every_flip(codes: Codes, widths: Widths) -> Iterator[Flip]:
    """Every stored bit once: by layer, then bit, then weight."""
    for layer, bit, indices in _groups(codes, widths):
        for index in indices:
            yield Flip(layer, int(index), bit)


def sample_flips(codes: Codes, widths: Widths, per_bit: int, seed: int) -> list[Flip]:
    """At most `per_bit` different weights of each layer and bit, drawn with `seed`.

    Raises `ConfigError` for `per_bit` below 1.
    """
    if per_bit < 1:
        msg = f"flips a layer and bit is {per_bit}; expected at least 1"
        raise ConfigError(msg)
    chosen = []
    for number, (layer, bit, indices) in enumerate(_groups(codes, widths)):
        rng = np.random.default_rng([seed, number])
        few = rng.permutation(indices)[:per_bit]
        chosen += [Flip(layer, int(index), bit) for index in np.sort(few)]
    return chosen


def loss_by_layer_and_bit(
    run: Run,
    codes: Codes,
    widths: Widths,
    labels: NDArray[Any],
    *,
    efficiency: float = 0.99,
    flips: Sequence[Flip] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FlipStudy:
    """Run the network once per flip and sum up the losses by layer and bit.

    `run` gives the logits of all clusters for a set of weight codes; `flips` are all stored bits
    by default. `progress` is told (done, all) after each flip. Raises `ConfigError` for
    `efficiency` outside (0, 1] or no flips, `DataError` if `labels` lack a class.
    """
    if not 0 < efficiency <= 1:
        msg = f"efficiency is {efficiency}; expected more than 0 and at most 1"
        raise ConfigError(msg)
    wanted = list(every_flip(codes, widths)) if flips is None else list(flips)
    if not wanted:
        msg = "flips: none to try; the weights store no bits"
        raise ConfigError(msg)
    signal = labels > 0

    def judged(weights: dict[str, NDArray[np.int64]]) -> tuple[NDArray[np.float64], float, float]:
        scores = np.asarray(run(weights), dtype=np.float64).reshape(-1)
        rejection, _, cut = rejection_at(scores, labels, efficiency)
        return scores, rejection, cut

    scores, rejection, threshold = judged(dict(codes))
    kept = float(np.mean(scores[signal] >= threshold))
    losses: dict[tuple[str, int], list[tuple[float, float, int]]] = {}
    for done, one in enumerate(wanted, start=1):
        scores, hurt, _ = judged(flip(codes, widths, one))
        still = float(np.mean(scores[signal] >= threshold))
        losses.setdefault((one.layer, one.bit), []).append(
            (rejection - hurt, kept - still, one.index)
        )
        if progress:
            progress(done, len(wanted))
    stored = {(layer, bit): len(indices) for layer, bit, indices in _groups(codes, widths)}
    rows = tuple(_row(*key, stored[key], losses[key]) for key in stored if key in losses)
    every = len(set(wanted)) == sum(stored.values())
    return FlipStudy(efficiency, rejection, threshold, every, rows)


def _row(layer: str, bit: int, stored: int, losses: list[tuple[float, float, int]]) -> BitLoss:
    worst = max(losses, key=lambda loss: loss[0])
    return BitLoss(
        layer, bit, len(losses), stored,
        mean_rejection_loss=float(np.mean([loss[0] for loss in losses])),
        worst_rejection_loss=worst[0],
        worst_index=worst[2],
        mean_efficiency_loss=float(np.mean([loss[1] for loss in losses])),
        worst_efficiency_loss=max(loss[1] for loss in losses),
    )  # fmt: skip


def _width(codes: Codes, widths: Widths, layer: str) -> NDArray[np.int64]:
    """The width of each weight of a layer, flat."""
    width = np.asarray(widths[layer], dtype=np.int64)
    try:
        return np.broadcast_to(width, codes[layer].shape).reshape(-1)
    except ValueError as error:
        msg = f"layer '{layer}': widths of shape {width.shape} for codes of {codes[layer].shape}"
        raise ConfigError(msg) from error


def _groups(codes: Codes, widths: Widths) -> Iterator[tuple[str, int, NDArray[np.intp]]]:
    """The weights that store each bit: (layer, bit, flat indices)."""
    for layer in codes:
        if layer not in widths:
            msg = f"layer '{layer}': no width given; known: {', '.join(widths)}"
            raise ConfigError(msg)
        width = _width(codes, widths, layer)
        for bit in range(int(width.max(initial=0))):
            yield layer, bit, np.flatnonzero(width > bit)


EXHAUSTIVE_UP_TO = 4096
"""Stored bits up to which every flip is tried; beyond, `_A_BIT` of each layer and bit."""

_A_BIT = 50


def stored(network: IntegerNetwork) -> tuple[dict[str, NDArray[np.int64]], dict[str, int]]:
    """Weight codes by `LAYER.kernel` and `LAYER.bias`, and bits per code."""
    codes, widths = {}, {}
    for layer in network.weighted_layers:
        for part in ("kernel", "bias"):
            codes[f"{layer.name}.{part}"] = getattr(layer, part)
            widths[f"{layer.name}.{part}"] = getattr(layer, f"{part}_grid").bits
    return codes, widths


def with_codes(network: IntegerNetwork, codes: Codes) -> IntegerNetwork:
    """The network with other weights, by the names of `stored`."""
    layers = tuple(
        replace(layer, kernel=codes[f"{layer.name}.kernel"], bias=codes[f"{layer.name}.bias"])
        if isinstance(layer, IntegerLayer)
        else layer
        for layer in network.layers
    )
    return replace(network, layers=layers)


def flip_study(
    network: IntegerNetwork,
    clusters: Clusters,
    *,
    efficiency: float,
    seed: int = 0,
    on_flip: Callable[[int, int], None] | None = None,
) -> FlipStudy:
    """Flip stored bits one at a time; loss of background rejection by layer and bit.

    Every bit if there are at most `EXHAUSTIVE_UP_TO`, else 50 weights of each layer and bit,
    drawn with `seed`. Raises `DataError` for clusters without both classes.
    """
    clusters.require_both_classes()
    inputs, (codes, widths) = network.codes(clusters), stored(network)
    flips = list(every_flip(codes, widths))
    if len(flips) > EXHAUSTIVE_UP_TO:
        flips = sample_flips(codes, widths, _A_BIT, seed)

    def run(weights: dict[str, NDArray[np.int64]]) -> NDArray[Any]:
        return with_codes(network, weights).run(inputs)

    return loss_by_layer_and_bit(
        run, codes, widths, clusters.signal, efficiency=efficiency, flips=flips, progress=on_flip
    )
