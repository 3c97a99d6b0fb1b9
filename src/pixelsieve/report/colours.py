"""Which colour an approach has: by its name, so that it is the same in every figure."""

from __future__ import annotations

from collections.abc import Sequence

from pixelsieve.training.recipe import FLOAT, RECIPES

__all__ = ["BASELINE", "INK", "colours"]

INK, BASELINE = "ink", "grey"


def colours(approaches: Sequence[str]) -> dict[str, int | str]:
    """Number of the colour of each approach; float is `INK`.

    Our own recipes have theirs whatever else is drawn; others get those left over, in order.
    """
    fixed = {name: i for i, name in enumerate(RECIPES)}
    names = [a for a in dict.fromkeys(approaches) if a != FLOAT.name]
    taken = {fixed[a] for a in names if a in fixed}
    others = [a for a in names if a not in fixed]
    free = [i for i in range(len(fixed) + len(names)) if i not in taken]
    return {
        FLOAT.name: INK,
        **{a: fixed[a] for a in names if a in fixed},
        **dict(zip(others, free, strict=False)),
    }
