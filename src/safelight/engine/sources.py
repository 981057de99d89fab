"""Where a model's parts come from: folders of nano weights, or repositories that were pulled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from safelight.models import NANO, REAL
from safelight.models.base import NANO_DIR, Model, Part, Vocabulary
from safelight.weights.disk import WeightsDisk

WORDS = Path("shared", "words.txt")
NAMES = Path("shared", "names.txt")


class Source(Protocol):
    """Finds parts."""

    @property
    def name(self) -> str:
        """`nano` or `real`."""
        ...

    def parts(self, model: Model) -> Mapping[str, Part]:
        """The parts of a model."""
        ...

    def path(self, part: Part) -> Path:
        """Where a part's files are: its folder, or its one file."""
        ...

    def key(self, part: Part) -> str:
        """What parts have in common that are the same."""
        ...

    def vocabulary(self) -> Vocabulary | None:
        """The words that the weights were trained on; None: there is no such bound."""
        ...


class NanoFolders:
    """Nano weights: a folder for each part."""

    name = NANO

    def __init__(self, root: Path = NANO_DIR) -> None:
        self._root = root

    def parts(self, model: Model) -> Mapping[str, Part]:
        """The parts of a model."""
        return model.weights.nano

    def path(self, part: Part) -> Path:
        """The folder of a part."""
        return self._root / part.repo / part.folder

    def key(self, part: Part) -> str:
        """Models that name the same folder share it."""
        return str(self.path(part))

    def vocabulary(self) -> Vocabulary | None:
        """Nano weights know one little world."""
        if not (self._root / WORDS).is_file():
            return None
        words, names = ((self._root / path).read_text().split() for path in (WORDS, NAMES))
        return Vocabulary(frozenset(words), frozenset(names))


class Pulled:
    """Real weights, as they were pulled."""

    name = REAL

    def __init__(self, disk: WeightsDisk) -> None:
        self._disk = disk

    def parts(self, model: Model) -> Mapping[str, Part]:
        """The parts of a model."""
        return model.weights.real

    def path(self, part: Part) -> Path:
        """The folder of a part, or its one file, at the commit that is held."""
        return self._disk.path(part)

    def key(self, part: Part) -> str:
        """Repositories that hold the same weights share them: the hashes tell."""
        return self._disk.fingerprint(part)

    def vocabulary(self) -> None:
        """They know all words."""
        return
