"""The rules that a model publishes for its input images (`validations`), and what breaks them.

The words of a rule and its message disagree where they touch: `width_pixels>` 384 says "at least 384 pixels".
People act on messages, so sides may equal their limits; a file must be smaller than its own.
"""

from __future__ import annotations

from pathlib import Path

from safelight.errors import InvalidImage
from safelight.images.codec import read_size
from safelight.inputs import Validation

MEGABYTE = 2**20
FILE_SIZE = "file_size_mb<"


def check_image(path: Path, rules: tuple[Validation, ...]) -> None:
    """Judge a file by its size and its header, decoding nothing.

    Sides are as stored; no rule tells width from height, so a rotation changes nothing.
    Raises InvalidImage with the message of the first rule that is broken, and what `read_size` raises.
    """
    for rule in rules:
        if rule.rule == FILE_SIZE and path.stat().st_size >= rule.value * MEGABYTE:
            raise InvalidImage(rule.error)
    if not rules:
        return
    width, height = read_size(path)
    for rule in rules:
        match rule.rule:
            case "width_pixels>":
                broken = width < rule.value
            case "height_pixels>":
                broken = height < rule.value
            case "width_pixels<":
                broken = width > rule.value
            case "height_pixels<":
                broken = height > rule.value
            case _:
                broken = False
        if broken:
            raise InvalidImage(rule.error)


def file_rule(rules: tuple[Validation, ...]) -> Validation | None:
    """The rule on the file's size, where there is one."""
    return next((rule for rule in rules if rule.rule == FILE_SIZE), None)
