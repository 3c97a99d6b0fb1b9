"""The compiled array programs that train weights and their bits together (HGQ).

The maths of Sun et al. 2024, "Gradient-based Automatic Mixed Precision Quantization for Neural
Networks On-Chip" (HGQ), as pure functions, as fast as HGQ2's layers in the same loop. They let the
cost be another than EBOPs, and its pressure an argument; HGQ2's layers carry the finished network
(`build`), bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import log, prod
from typing import Any, NamedTuple

from pixelsieve.features import REGISTRY
from pixelsieve.networks.build import patches, pooled
from pixelsieve.networks.fixed_point import Rounding
from pixelsieve.networks.layers import Conv, Dense, Flatten, Layer, MaxPool
from pixelsieve.networks.precision import LearnedPrecision
from pixelsieve.networks.spec import NetworkSpec, Weights
from pixelsieve.training.engine import OnDevice
from pixelsieve.training.teachers import Softening, cross_entropy

INPUTS = "inputs"
"""Key of the bits of the inputs among the variables."""

Tree = Any
_FINEST, _COARSEST = 14.0, -24.0
_SMALLEST = 2.0**-24
_RANGE_DECAY = 0.01
"""Integer bits that a range loses a step where its values no longer fill it (as in HGQ2)."""
_FOLLOW = 0.02
_LARGEST_FOLLOW = 0.05
"""Share of the distance from the path of the cost that log(pressure) follows in a step."""


class Pressure(NamedTuple):
    """The lead of the cost down to its budget: how the log of its factor in the loss moves.

    `targets` (batches,) are the logarithms of the EBOPs to have at each step; where `follows` is 0
    the factor stays.
    """

    targets: Any
    follows: Any


class LearnedState(NamedTuple):
    """All that a step moves: variables, the optimizer's state, ranges, log of the cost's factor."""

    variables: Tree
    optimizer: Tree
    ranges: Tree
    log_factor: Any


class LearnedProgram(NamedTuple):
    """Compiled functions of one network.

    - `start(variables) -> state` of the optimizer;
    - `epoch(state, inputs, labels, order, rates, pressure, clip_norm, bits_rate)` -> `state`,
      which is donated, (mean loss, EBOPs);
    - `logits(variables, inputs)` -> (logits (n,), smallest and largest values by feature and
      layer), with rounding and without any overflow.
    """

    start: Callable[..., Tree]
    epoch: Callable[..., Any]
    logits: Callable[..., Any]


def learning_layers(spec: NetworkSpec) -> list[Dense | Conv]:
    """Return the layers that have weights, in order."""
    return [layer for layer in spec.layers if isinstance(layer, Dense | Conv)]


def start_variables(spec: NetworkSpec, precision: LearnedPrecision, weights: Weights) -> Tree:
    """Return all that training moves: weights, and bits behind the binary point."""
    import jax.numpy as jnp

    def full(value: float, *shape: int) -> Any:
        return jnp.full(shape, value, jnp.float32)

    bits = float(precision.start_bits)
    variables: OnDevice = {
        INPUTS: {n: full(precision.input_bits - 1.0, spec.width(n)) for n in spec.features}
    }
    for layer in learning_layers(spec):
        kernel, bias = (jnp.array(weights[layer.name][k], jnp.float32) for k in ("kernel", "bias"))
        variables[layer.name] = {
            "kernel": kernel,
            "bias": bias,
            "kernel_bits": full(bits, *kernel.shape),
            "bias_bits": full(bits, *bias.shape),
        }
        if layer.relu:
            variables[layer.name]["activation_bits"] = full(bits, *bias.shape)
    return variables


@lru_cache(maxsize=8)
def learned_program(
    spec: NetworkSpec, precision: LearnedPrecision, softening: Softening | None = None
) -> LearnedProgram:
    """The program of a network; the budget and all schedules are arguments of its functions."""
    import jax
    import jax.numpy as jnp
    import optax

    forward = _forward(spec, precision)
    adam = optax.scale_by_adam()
    finest_input = precision.input_bits - 1.0

    def loss(
        variables: Tree, ranges: Tree, inputs: Tree, labels: Any, factor: Any
    ) -> tuple[Any, tuple[Tree, Any]]:
        out = forward(variables, ranges, inputs)
        fit = cross_entropy(out.logits, labels, softening)
        return fit + factor * out.cost, (out.ranges, (fit, out.ebops))

    def moved(path: Any, value: Any, update: Any, rate: Any, bits_rate: Any) -> Any:
        group, name = path[0].key, path[1].key
        if group != INPUTS and not name.endswith("_bits"):
            return value - rate * update
        finest = finest_input if group == INPUTS else _FINEST
        return jnp.clip(value - rate * bits_rate * update, _COARSEST, finest)

    def epoch(
        state: LearnedState,
        inputs: Tree,
        labels: Any,
        order: Any,
        rates: Any,
        pressure: Pressure,
        clip_norm: Any,
        bits_rate: Any,
    ) -> Any:
        clip = optax.clip_by_global_norm(clip_norm)

        def step(state: LearnedState, batch: Any) -> Any:
            variables, optimizer, ranges, log_factor = state
            rows, rate, target, follow = batch
            chosen = {name: values[rows] for name, values in inputs.items()}
            gradient, (ranges, (fit, ebops)) = jax.grad(loss, has_aux=True)(
                variables, ranges, chosen, labels[rows], jnp.exp(log_factor)
            )
            gradient, _ = clip.update(gradient, clip.init(variables))
            update, optimizer = adam.update(gradient, optimizer)
            variables = jax.tree_util.tree_map_with_path(
                lambda path, v, u: moved(path, v, u, rate, bits_rate), variables, update
            )
            distance = jnp.log(jnp.maximum(ebops, 1.0)) - target
            change = jnp.clip(_FOLLOW * distance, -_LARGEST_FOLLOW, _LARGEST_FOLLOW)
            log_factor = jnp.clip(log_factor + follow * change, log(1e-9), 0.0)
            return LearnedState(variables, optimizer, ranges, log_factor), (fit, ebops)

        state, (fits, ebops) = jax.lax.scan(step, state, (order, rates, *pressure))
        return state, (fits.mean(), ebops[-1])

    def logits(variables: Tree, inputs: Tree) -> Any:
        out = forward(variables, start_ranges(variables), inputs)
        return out.logits, out.extremes

    return LearnedProgram(jax.jit(adam.init), jax.jit(epoch, donate_argnums=(0,)), jax.jit(logits))


def start_ranges(variables: Tree) -> Tree:
    """Integer bits of features and activations before anything was seen."""
    import jax.numpy as jnp

    bits = {**variables[INPUTS]}
    bits |= {k: v["activation_bits"] for k, v in variables.items() if "activation_bits" in v}
    return {name: jnp.full_like(value, _COARSEST) for name, value in bits.items()}


class _Outputs(NamedTuple):
    logits: Any
    cost: Any
    ebops: Any
    ranges: Tree
    extremes: Tree


def _forward(spec: NetworkSpec, precision: LearnedPrecision) -> Callable[..., _Outputs]:
    import jax
    import jax.numpy as jnp

    fixed = jax.lax.stop_gradient
    shapes = {n: REGISTRY[n].shape(spec.window) for n in spec.features} | spec.shapes()

    def forward(variables: Tree, ranges: Tree, inputs: Tree) -> _Outputs:
        values: OnDevice = {}
        bits: OnDevice = {}
        new_ranges: OnDevice = {}
        extremes: OnDevice = {}
        cost = ebops = jnp.zeros(())

        def take(name: str, exact: Any, fractions: Any) -> None:
            values[name] = _rounded(exact, fractions, precision.rounding)
            # A convolution has the same bits at every position.
            seen, alike = fixed(values[name]), tuple(range(exact.ndim - fractions.ndim))
            low, high = seen.min(axis=alike), seen.max(axis=alike)
            extremes[name] = (low, high)
            range_bits = _integer_bits(jnp.maximum(high, -low))
            new_ranges[name] = jnp.maximum(ranges[name] - _RANGE_DECAY, range_bits)
            bits[name] = jax.nn.relu(jnp.round(new_ranges[name]) + _whole(fractions))

        for name in spec.features:
            take(name, inputs[name], variables[INPUTS][name])
            values[name] = values[name].reshape(-1, *shapes[name])
            bits[name] = bits[name].reshape(shapes[name])
        for layer in spec.layers:
            source = jnp.concatenate([values[s] for s in layer.inputs], axis=-1)
            source_bits = jnp.concatenate([bits[s] for s in layer.inputs], axis=-1)
            source, source_bits = _arranged(layer, source), _arranged(layer, source_bits[None])[0]
            if isinstance(layer, MaxPool | Flatten):
                values[layer.name], bits[layer.name] = source, source_bits
                continue
            own = variables[layer.name]
            kernel = _rounded(own["kernel"], own["kernel_bits"], "RND")
            bias = _rounded(own["bias"], own["bias_bits"], "RND")
            kernel_bits = _weight_bits(fixed(kernel), own["kernel_bits"])
            bias_bits = _weight_bits(fixed(bias), own["bias_bits"])
            positions = prod(source_bits.shape[:-1])
            layer_ebops = (source_bits @ _matrix(kernel_bits)).sum() + positions * bias_bits.sum()
            ebops += fixed(layer_ebops)
            if precision.cost == "adders":
                kernel_digits = _digits(fixed(kernel), own["kernel_bits"], kernel_bits)
                bias_digits = _digits(fixed(bias), own["bias_bits"], bias_bits)
                wider = source_bits + fixed(source_bits > 0)
                cost += (wider @ _matrix(kernel_digits)).sum() + positions * bias_digits.sum()
            else:
                cost += layer_ebops
            total = source @ _matrix(kernel) + bias
            if layer.relu:
                take(layer.name, jax.nn.relu(total), own["activation_bits"])
                bits[layer.name] = jnp.broadcast_to(bits[layer.name], shapes[layer.name])
            else:
                values[layer.name] = total
        return _Outputs(total[:, 0], cost, ebops, new_ranges, extremes)

    return forward


def _arranged(layer: Layer, values: Any) -> Any:
    """Return a layer's joined inputs (n, ...) as its multiplication takes them.

    Of images a convolution makes patches: (n, rows, columns, numbers of a patch).
    """
    if isinstance(layer, Conv):
        return patches(values, layer.kernel_size, layer.padding)
    if isinstance(layer, MaxPool):
        return pooled(values, layer.pool_size)
    return values.reshape(len(values), -1) if isinstance(layer, Flatten) else values


def _matrix(kernel: Any) -> Any:
    """A kernel as a matrix (numbers of a patch, units)."""
    return kernel.reshape(-1, kernel.shape[-1])


def _rounded(x: Any, fractions: Any, rounding: Rounding) -> Any:
    """`x` rounded to `fractions` bits behind the binary point.

    The gradient passes to x unchanged; that of the fractions is -ln 2 times the rounding error,
    as if the error were proportional to the step (HGQ).
    """
    import jax
    import jax.numpy as jnp

    scale = jnp.exp2(jnp.round(jax.lax.stop_gradient(fractions)))
    scaled = x * scale + (0.5 if rounding == "RND" else 0.0)
    whole = jnp.round(scaled) if rounding == "RND_CONV" else jnp.floor(scaled)
    error = jax.lax.stop_gradient(whole / scale - x)
    return x + error * (1 - log(2) * (fractions - jax.lax.stop_gradient(fractions)))


def _whole(fractions: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return fractions + jax.lax.stop_gradient(jnp.round(fractions) - fractions)


def _integer_bits(largest: Any) -> Any:
    """Bits before the binary point of the largest magnitude, without a sign."""
    import jax.numpy as jnp

    bits = jnp.floor(jnp.log2(jnp.maximum(largest, _SMALLEST))) + 1
    return jnp.where(largest > 0, bits, _COARSEST - _FINEST)


def _weight_bits(values: Any, fractions: Any) -> Any:
    """Bits from the first of each weight to the last of its grid, without the sign; 0 for 0."""
    import jax
    import jax.numpy as jnp

    return jax.nn.relu(_integer_bits(jnp.abs(values)) + _whole(fractions))


def _digits(values: Any, fractions: Any, bits: Any) -> Any:
    """Nonzero digits (-1, 1) of each weight in its shortest form: terms of its shift-and-add.

    The gradient is that of the bits, in proportion.
    """
    import jax
    import jax.numpy as jnp

    code = jnp.abs(values * jnp.exp2(jnp.round(fractions))).astype(jnp.int32)
    digits = jax.lax.population_count((3 * code) ^ code).astype(jnp.float32)
    share = digits / jnp.maximum(jax.lax.stop_gradient(bits), 1.0)
    return bits * jax.lax.stop_gradient(share)
