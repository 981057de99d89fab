"""The catalogue: every model that this server knows, one file each.

The files of this folder are found by themselves; so are those of an operator's own models folder.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from safelight.errors import ModelNotFound, SettingsError
from safelight.models.base import Model
from safelight.texts import Text

REAL, NANO = "real", "nano"
"""What weights are called in the catalogue and in results."""


class Catalogue:
    """The models by their id."""

    def __init__(
        self,
        models: Iterable[Model],
        *,
        asks_upstreams: bool = False,
        real_ids: frozenset[str] = frozenset(),
        nano: bool = True,
    ) -> None:
        """asks_upstreams: what can be drawn by somebody else's API is drawn there.

        real_ids: the models that draw with real weights. nano: the others may draw with nano weights.
        """
        self._models = {model.id: model for model in models}
        self._asks_upstreams = asks_upstreams
        self._real_ids = real_ids
        self._nano = nano
        self._runnable_ids = tuple(model.id for model in self.all() if self.weights_of(model))

    def all(self) -> tuple[Model, ...]:
        """Every model, in the order of their ids."""
        return tuple(self._models[model_id] for model_id in sorted(self._models))

    def get(self, model_id: str) -> Model:
        """The model with this id. Raises ModelNotFound with the nearest ids."""
        if model_id in self._models:
            return self._models[model_id]
        near = difflib.get_close_matches(model_id[:200], self._models, n=3, cutoff=0.3)
        known = ", ".join(near) or "GET /v1/models"
        raise ModelNotFound(
            Text(
                f"There is no such model. Nearest: {known}.",
                f"그런 모델이 없습니다. 가장 비슷한 모델: {known}",
            )
        )

    def weights_of(self, model: Model) -> str | None:
        """What would draw for a model now: weights of this installation, or an upstream; None: nothing."""
        if self._asks_upstreams and model.upstream:
            return model.upstream
        if model.id in self._real_ids:
            return REAL
        return NANO if model.is_ready() and (self._nano or not model.weights.real) else None

    @property
    def real_ids(self) -> frozenset[str]:
        """The ids of the models that draw with real weights."""
        return self._real_ids

    def runnable_ids(self) -> tuple[str, ...]:
        """The ids of the models that can run here."""
        return self._runnable_ids


def load_catalogue(models_dir: Path | None = None, *, asks_upstreams: bool = False) -> Catalogue:
    """Read the models that ship with Safelight and those in an operator's folder; all draw with nano weights.

    Raises SettingsError for a file of that folder that cannot be read as a model.
    """
    modules = [*_shipped_modules(), *(_own_modules(models_dir) if models_dir else ())]
    found = (model() for module in modules for model in _models_of(module))
    return Catalogue(found, asks_upstreams=asks_upstreams)


def _shipped_modules() -> Iterator[ModuleType]:
    for info in pkgutil.iter_modules(__path__):
        if info.name != "base" and not info.name.startswith("_"):
            yield importlib.import_module(f"{__name__}.{info.name}")


def _own_modules(folder: Path) -> Iterator[ModuleType]:
    for path in sorted(folder.glob("[!_]*.py")):
        spec = importlib.util.spec_from_file_location(f"safelight_own_models.{path.stem}", path)
        assert spec is not None  # noqa: S101 - true of every .py file
        assert spec.loader is not None  # noqa: S101
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # pydantic looks up postponed annotations there
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise SettingsError(f"SAFELIGHT_MODELS_DIR: {path.name} cannot be loaded: {error}") from error
        yield module


def _models_of(module: ModuleType) -> Iterator[type[Model]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Model) and value.__module__ == module.__name__:
            yield value
