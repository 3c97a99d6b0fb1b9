"""`pixelsieve doctor`: what is installed, and what is missing."""

from __future__ import annotations

from pixelsieve.cli import options


@options.shows_errors(interrupted="interrupted")
def doctor(json: options.Json = False) -> None:
    """Show versions, the tools, the device, and how to get what is missing.

    Each tool runs once on a tiny design. The tools serve `firmware`, alkaid `search` as well;
    without them the rest works, and the exit code is 0.
    """
    from pixelsieve.api.pages import doctor as run

    found = run()
    options.answer(found.to_plain() if json else None, *found.parts())
