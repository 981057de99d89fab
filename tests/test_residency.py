import gc
import json
import weakref

import pytest
import torch
from torch import nn

from safelight.engine.residency import Residency
from safelight.models.base import Model, Part, Weights
from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet
from tests.tiny_weights import save_tiny_klein, save_tiny_ovis, save_tiny_weights

KB = 1024


class Block(nn.Module):
    """As many single-precision numbers as its file holds."""

    def __init__(self, numbers):
        super().__init__()
        self.numbers = nn.Parameter(torch.zeros(numbers))

    @classmethod
    def from_pretrained(cls, folder, **options):
        return cls(int((folder / "numbers").read_text()))


@pytest.fixture
def model(tmp_path, clock):
    """Makes models of parts: `name=KB`; `shared` is the same part for all of them."""

    def make(name, load_s=1.0, fails=False, **parts):
        for part, kilobytes in parts.items():
            folder = tmp_path / ("" if part == "shared" else name) / part
            folder.mkdir(parents=True, exist_ok=True)
            numbers = kilobytes * KB // 4
            (folder / "numbers").write_text(str(numbers))
            tensors = {"numbers": {"dtype": "F16", "shape": [numbers], "data_offsets": [0, 2 * numbers]}}
            header = json.dumps(tensors).encode()
            (folder / "model.safetensors").write_bytes(
                len(header).to_bytes(8, "little") + header + b"\0" * (2 * numbers)
            )

        class Made(Model):
            id = name
            weights = Weights(
                real={}, nano={part: Part("" if part == "shared" else name, part) for part in parts}
            )

            def load(self, context):
                clock.now_s += load_s
                loaded = [context.part(part, Block) for part in parts]
                if fails:
                    raise MemoryError
                return loaded

        return Made()

    return make


@pytest.fixture
def residency(tmp_path, clock):
    def make(budget_kb):
        return Residency("cpu", budget_kb * KB, root=tmp_path, clock=clock)

    return make


def test_what_fits_stays(model, residency):
    kept = residency(300)
    a, b = model("a", unet=100), model("b", unet=200)
    first = kept.pipeline(a)
    kept.pipeline(b)
    assert kept.pipeline(a) == first
    assert sorted(kept.model_ids) == ["a", "b"]
    assert kept.loaded_bytes == 300 * KB


def test_what_is_shared_is_loaded_and_counted_once(model, residency):
    kept = residency(300)
    a, b = model("a", shared=200, unet=50), model("b", shared=200, unet=50)
    _, (shared_by_a, _) = kept.pipeline(a)
    _, (shared_by_b, _) = kept.pipeline(b)
    assert shared_by_a is shared_by_b
    assert kept.loaded_bytes == 300 * KB
    assert kept.model_ids == ["a", "b"]


def test_what_does_not_fit_makes_another_leave_and_its_memory_free(model, residency):
    kept = residency(250)
    a, b = model("a", unet=150), model("b", unet=150)
    gone = weakref.ref(kept.pipeline(a)[1][0])
    kept.pipeline(b)
    gc.collect()
    assert gone() is None
    assert kept.model_ids == ["b"]
    assert kept.loaded_bytes == 150 * KB


def test_a_shared_part_outlives_who_loaded_it(model, residency):
    kept = residency(300)
    a, b = model("a", shared=200, unet=100), model("b", shared=200, unet=100)
    _, (shared, _) = kept.pipeline(a)
    _, (again, _) = kept.pipeline(b)
    assert kept.model_ids == ["b"]
    assert again is shared


def test_the_longest_unused_leaves_first_among_equals(model, residency):
    kept = residency(300)
    a, b, c = (model(name, unet=100) for name in "abc")
    kept.pipeline(a)
    kept.pipeline(b)
    kept.pipeline(c)
    kept.pipeline(a)
    kept.pipeline(model("d", unet=100))
    assert sorted(kept.model_ids) == ["a", "c", "d"]


def test_what_is_slow_to_load_for_its_size_stays_longer(model, residency):
    kept = residency(300)
    kept.pipeline(model("slow", load_s=60, unet=100))
    kept.pipeline(model("quick", load_s=1, unet=100))
    kept.pipeline(model("large", load_s=60, unet=200))
    assert kept.model_ids == ["slow", "large"]


def test_what_nobody_asks_for_leaves_in_the_end_however_slow_it_is(model, residency):
    kept = residency(200)
    kept.pipeline(model("slow", load_s=5, unet=100))
    names = iter(range(100))
    while "slow" in kept.model_ids:
        kept.pipeline(model(f"quick-{next(names)}", load_s=1, unet=100))
    assert next(names) > 4


def test_a_model_larger_than_the_budget_is_loaded_alone(model, residency):
    kept = residency(100)
    kept.pipeline(model("small", unet=50))
    kept.pipeline(model("large", unet=500))
    assert kept.model_ids == ["large"]


def test_a_model_that_cannot_be_loaded_leaves_nothing_behind(model, residency):
    kept = residency(300)
    kept.pipeline(model("a", shared=100))
    with pytest.raises(MemoryError):
        kept.pipeline(model("broken", fails=True, shared=100, unet=100))
    assert kept.model_ids == ["a"]
    assert kept.loaded_bytes == 100 * KB


def test_a_model_without_weights_makes_nobody_leave(model, residency):
    kept = residency(100)
    kept.pipeline(model("a", unet=200))
    kept.pipeline(model("b"))
    assert kept.model_ids == ["a", "b"]


def test_the_budget_is_half_of_the_memory_where_nothing_else_is_said(tmp_path):
    found = Residency("cpu", root=tmp_path)._budget()
    assert 2**28 < found < 2**44


def test_the_real_models_share_all_but_their_own_parts(tmp_path):
    root = save_tiny_weights(tmp_path)
    save_tiny_ovis(root)
    save_tiny_klein(root)
    kept = Residency("cpu", 2**30, root=root)
    alone = []
    for model in (ZImageControlNet(), OvisImage(), WanImageToImage()):
        before = kept.loaded_bytes
        kept.pipeline(model)
        alone.append(kept.loaded_bytes - before)
    shared = Residency("cpu", 2**30, root=root)
    shared.pipeline(OvisImage())
    assert shared.loaded_bytes > alone[1]
    transformer = shared.pipeline(OvisImage())[1].transformer
    assert alone[1] == sum(p.numel() * 4 for p in transformer.parameters())
    # Room for one transformer beside the shared parts: they stay, whoever comes.
    tight = Residency("cpu", shared.loaded_bytes, root=root)
    text_encoder = tight.pipeline(OvisImage())[1].text_encoder
    assert tight.pipeline(WanImageToImage())[1].text_encoder.model is text_encoder
    assert tight.model_ids == [WanImageToImage.id]
