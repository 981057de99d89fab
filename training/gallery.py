"""Sheets of trials: what was given above, what was drawn below, the prompt under both."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.trials import Trial

SIDE = 256
COLUMNS = 6
TEXT_ROWS = 3


def sheet(trials: list[tuple[Trial, bool]]) -> NDArray[np.uint8]:
    """Trials in rows of six; the prompt is red where a trial was not right."""
    cells = [_cell(trial, right) for trial, right in trials]
    blank = [np.full_like(cells[0], 255)] * (-len(cells) % COLUMNS)
    cells += blank
    rows = [np.concatenate(cells[i : i + COLUMNS], 1) for i in range(0, len(cells), COLUMNS)]
    return np.concatenate(rows, 0)


def _cell(trial: Trial, right: bool) -> NDArray[np.uint8]:
    above = [_row(trial.given)] if trial.given else []
    pictures = np.concatenate([*above, _row((trial.drawn,))], 0)
    cell = np.full((pictures.shape[0] + 14 + 16 * TEXT_ROWS, SIDE + 8, 3), 255, np.uint8)
    cell[: pictures.shape[0], 4 : SIDE + 4] = pictures
    colour = (30, 30, 30) if right else (190, 30, 30)
    for index, line in enumerate(_lines(trial.prompt)[:TEXT_ROWS]):
        at = (6, pictures.shape[0] + 18 + 16 * index)
        cv2.putText(cell, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
    return cell


def _row(pictures: tuple[NDArray[np.uint8], ...]) -> NDArray[np.uint8]:
    """Pictures side by side in a cell's width, each in the middle of its share."""
    share = SIDE // len(pictures)
    row = np.full((share + 4, SIDE, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        scale = share / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        h, w = small.shape[:2]
        top, left = (share - h) // 2 + 2, number * share + (share - w) // 2
        row[top : top + h, left : left + w] = small
    return row


def _lines(prompt: str, width: int = 36) -> list[str]:
    lines = [""]
    for word in prompt.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
