"""Damage to bytes and to text, whatever they mean."""

from __future__ import annotations

import struct
from random import Random

_SIZES = (0, 1, 0x7F, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)
_LONGEST_BLOCK = 4096

HOSTILE_NUMBERS = (
    "0", "-1", "1", "0.5", "1e400", "-1e400", "nan", "NaN", "inf", "Infinity", "-0.0", "1e-320",
    str(2**31), str(2**63), str(-(2**63) - 1), str(2**64), str(10**30), "9" * 400, "9" * 5000,
    "0x" + "f" * 5000, "1" + "_0" * 400, "true", "null", '"x"', "[]", "{}", "",
)  # fmt: skip
"""What a number of a text may become."""


def damaged_bytes(data: bytes, random: Random) -> bytes:
    """One to four accidents of transfer, or a size that is a lie."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        random.choice(_BYTES)(found, random)
    return bytes(found)


def damaged_text(data: bytes, random: Random) -> bytes:
    """Numbers replaced, lines lost, repeated or exchanged, deep brackets, strange letters."""
    lines = data.decode("utf-8", errors="replace").split("\n")
    for _ in range(random.choice((1, 1, 2, 4))):
        random.choice(_TEXTS)(lines, random)
    return "\n".join(lines).encode("utf-8", errors="surrogatepass")


def _span(found: bytearray, random: Random) -> tuple[int, int]:
    start = random.randrange(len(found) + 1)
    return start, min(len(found), start + random.randint(1, _LONGEST_BLOCK))


def _flip(found: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 8))):
        if found:
            found[random.randrange(len(found))] ^= 1 << random.randrange(8)


def _set(found: bytearray, random: Random) -> None:
    if found:
        found[random.randrange(len(found))] = random.choice((0, 0x7F, 0x80, 0xFF))


def _size(found: bytearray, random: Random) -> None:
    width, letter = random.choice(((2, "H"), (4, "I"), (8, "Q")))
    value = random.choice(_SIZES) & (2 ** (8 * width) - 1)
    at = random.randrange(max(1, len(found)))
    found[at : at + width] = struct.pack(random.choice("<>") + letter, value)


def _truncate(found: bytearray, random: Random) -> None:
    del found[random.randrange(len(found) + 1) :]


def _cut(found: bytearray, random: Random) -> None:
    start, end = _span(found, random)
    del found[start:end]


def _insert(found: bytearray, random: Random) -> None:
    start, _ = _span(found, random)
    found[start:start] = random.choice((random.randbytes(random.randint(1, 64)), bytes(512)))


def _duplicate(found: bytearray, random: Random) -> None:
    start, end = _span(found, random)
    found[start:start] = found[start:end]


def _zero(found: bytearray, random: Random) -> None:
    start, end = _span(found, random)
    found[start:end] = bytes(end - start)


def _exchange(found: bytearray, random: Random) -> None:
    a, b, c = sorted(random.randrange(len(found) + 1) for _ in range(3))
    found[a:c] = found[b:c] + found[a:b]


_BYTES = (_flip, _flip, _set, _size, _size, _truncate, _cut, _insert, _duplicate, _zero, _exchange)


def _number(lines: list[str], random: Random) -> None:
    at = random.randrange(len(lines))
    words = lines[at].split(" ")
    numbers = [i for i, word in enumerate(words) if any(c.isdigit() for c in word)]
    if numbers:
        words[random.choice(numbers)] = random.choice(HOSTILE_NUMBERS)
        lines[at] = " ".join(words)


def _lose(lines: list[str], random: Random) -> None:
    del lines[random.randrange(len(lines)) : random.choice((None, -1))]
    lines.append("")


def _lose_one(lines: list[str], random: Random) -> None:
    lines.pop(random.randrange(len(lines)))
    lines.append("")


def _repeat(lines: list[str], random: Random) -> None:
    lines.insert(random.randrange(len(lines)), random.choice(lines))


def _swap(lines: list[str], random: Random) -> None:
    a, b = random.randrange(len(lines)), random.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]


def _letters(lines: list[str], random: Random) -> None:
    at = random.randrange(len(lines))
    where = random.randint(0, len(lines[at]))
    strange = random.choice(('"', "\0", "\x1b[31m", "\r", "\u2028", "é", "[" * 5, "=", ",", "# "))
    lines[at] = lines[at][:where] + strange + lines[at][where:]


def _nest(lines: list[str], random: Random) -> None:
    depth = random.choice((50, 2_000, 100_000))
    word = random.choice(("[", '{"a":', "x = [", "a." * depth, "<a>"))
    deep = word * depth if len(word) < depth else word
    lines.insert(random.randrange(len(lines)), deep)


_TEXTS = (_number, _number, _number, _lose, _lose_one, _repeat, _swap, _letters, _letters, _nest)
