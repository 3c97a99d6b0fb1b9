"""The command line: one verb a module, heavy imports inside the verbs."""

from __future__ import annotations

from pixelsieve.cli.app import app, main

__all__ = ["app", "main"]
