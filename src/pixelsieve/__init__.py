"""pixelsieve: the smallest network that keeps signal clusters and drops beam-induced background."""

from __future__ import annotations

import os

__all__ = ["__version__"]
__version__ = "0.1.0"

# Keras reads its backend once, at its first import; everything here is written for JAX.
os.environ["KERAS_BACKEND"] = "jax"
