import pytest
from PIL import Image

from safelight.errors import InvalidImage, UnsupportedImage
from safelight.images.rules import MEGABYTE, check_image, file_rule
from safelight.inputs import image_rules
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.texts import Text

RULES = image_rules(WanImageToImage.Input, "image_urls")


def png(path, width, height, size_bytes=0):
    Image.new("RGB", (width, height)).save(path, "PNG")
    with path.open("ab") as file:
        file.write(b"\0" * max(0, size_bytes - path.stat().st_size))
    return path


@pytest.mark.parametrize("sides", [(384, 384), (5000, 384), (384, 5000), (1000, 2000)])
def test_sides_may_equal_their_limits(tmp_path, sides):
    check_image(png(tmp_path / "image", *sides), RULES)


@pytest.mark.parametrize(
    ("sides", "en", "ko"),
    [
        (
            (383, 384),
            "Each image side must be at least 384 pixels.",
            "각 이미지 변은 최소 384픽셀이어야 합니다.",
        ),
        (
            (384, 383),
            "Each image side must be at least 384 pixels.",
            "각 이미지 변은 최소 384픽셀이어야 합니다.",
        ),
        (
            (5001, 384),
            "Each image side must be at most 5000 pixels.",
            "각 이미지 변은 최대 5000픽셀이어야 합니다.",
        ),
        (
            (384, 5001),
            "Each image side must be at most 5000 pixels.",
            "각 이미지 변은 최대 5000픽셀이어야 합니다.",
        ),
    ],
)
def test_a_broken_rule_is_told_in_the_schemas_own_words(tmp_path, sides, en, ko):
    path = png(tmp_path / "image", *sides)
    with pytest.raises(InvalidImage) as caught:
        check_image(path, RULES)
    assert caught.value.text == Text(en, ko)


def test_a_file_must_be_smaller_than_its_limit(tmp_path):
    check_image(png(tmp_path / "smaller", 400, 400, 10 * MEGABYTE - 1), RULES)
    with pytest.raises(InvalidImage, match=r"^The file must be smaller than 10 MB\.$"):
        check_image(png(tmp_path / "equal", 400, 400, 10 * MEGABYTE), RULES)
    with pytest.raises(InvalidImage) as caught:
        check_image(png(tmp_path / "equal", 400, 400, 10 * MEGABYTE), RULES)
    assert caught.value.text.ko == "파일 크기는 10MB 미만이어야 합니다."


def test_what_is_no_image_is_refused_as_such(tmp_path):
    (tmp_path / "page").write_text("<html>")
    with pytest.raises(UnsupportedImage):
        check_image(tmp_path / "page", RULES)


def test_a_field_without_rules_takes_any_image(tmp_path):
    rules = image_rules(ZImageControlNet.Input, "image_url")
    assert rules == ()
    assert file_rule(rules) is None
    check_image(png(tmp_path / "image", 1, 1), rules)


def test_every_published_rule_is_one_that_is_checked():
    known = {"file_size_mb<", "width_pixels>", "height_pixels>", "width_pixels<", "height_pixels<"}
    assert {rule.rule for rule in RULES} == known
