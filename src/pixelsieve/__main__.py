"""`python -m pixelsieve`."""

from __future__ import annotations

from pixelsieve.cli import main

if __name__ == "__main__":
    main()
