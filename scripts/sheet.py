"""A contact sheet: what went in, what came out, and what was asked for, one request a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from safelight.jobs import Json

CELL = 256
GAP = 16
TEXT_WIDTH = 360
PAPER, INK, FAINT = "white", "#222222", "#777777"


@dataclass(frozen=True)
class Drawn:
    """One request that succeeded: the images that it was given, and the file that came out."""

    model: str
    input: Json
    pictures: tuple[Path, ...]
    output: Path


def draw_sheet(drawn: Sequence[Drawn], path: Path) -> None:
    """Write the sheet."""
    columns = max((len(one.pictures) for one in drawn), default=0) + 1
    text = GAP + columns * (CELL + GAP)
    sheet = Image.new("RGB", (text + TEXT_WIDTH + GAP, len(drawn) * (CELL + GAP) + GAP), PAPER)
    for number, one in enumerate(drawn):
        top = GAP + number * (CELL + GAP)
        # What came out stands in the last column, what went in just before it.
        given = columns - 1 - len(one.pictures)
        for column, picture in enumerate((*one.pictures, one.output), given):
            _paste(sheet, picture, GAP + column * (CELL + GAP), top)
        _write(sheet, one, text, top)
    sheet.save(path)


def _paste(sheet: Image.Image, path: Path, left: int, top: int) -> None:
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((CELL, CELL))
    sheet.paste(small, (left + (CELL - small.width) // 2, top + (CELL - small.height) // 2))


def _write(sheet: Image.Image, one: Drawn, left: int, top: int) -> None:
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    pictures = [path.name for path in one.pictures]
    rest = [
        f"{name} {value}"
        for name, value in one.input.items()
        if name != "prompt" and value not in ([], pictures, *pictures)
    ]
    draw.text((left, top), one.model, FAINT, small)
    asked = _wrapped(str(one.input.get("prompt", "")), font)
    draw.multiline_text((left, top + 24), asked, INK, font)
    below = top + 34 + 19 * (asked.count("\n") + 1)
    draw.multiline_text((left, below), _wrapped(", ".join(rest), small), FAINT, small)


def _wrapped(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > TEXT_WIDTH and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines[:10])
