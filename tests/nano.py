"""Tests of what trained weights do, beside those of what any weights do."""

from __future__ import annotations

import pytest

from safelight.models.z_image_controlnet import ZImageControlNet

needs_nano = pytest.mark.skipif(
    bool(ZImageControlNet.weights.missing_nano()),
    reason="the nano weights are not in this checkout; python -m training export writes them",
)
