"""Prices: how an operator writes them down, and what a request then costs."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from safelight.credits.pricing import Pricing, read_pricing
from safelight.errors import SettingsError
from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.prices import Price, Quote, Rate, Unit
from safelight.settings import read_settings
from safelight.texts import Language

CONTROLNET = {"prompt": "a red house", "image_url": "https://example.org/x.png", "loras": []}
TOML = """
default.usd = 0.01
[models."aidc-ai/ovis-image"]
usd = 0.002
per = "second"
most_seconds = 60
"""


def test_prices_are_read_from_toml_json_a_file_and_a_table(tmp_path):
    expected = Pricing(
        Price(Decimal("0.01")), {"aidc-ai/ovis-image": Price(Decimal("0.002"), Unit.SECOND, 60)}
    )
    table = {
        "default": {"usd": 0.01},
        "models": {"aidc-ai/ovis-image": {"usd": 0.002, "per": "second", "most_seconds": 60}},
    }
    for name, text in (("prices.toml", TOML), ("prices.json", json.dumps(table))):
        (tmp_path / name).write_text(text)
        assert read_pricing(text) == expected
        assert read_pricing(str(tmp_path / name)) == expected
    assert read_pricing(table) == expected
    assert read_pricing("") == Pricing()


def test_a_price_stands_for_its_model_else_the_default_else_the_models_own():
    own = Price(Decimal(3))
    pricing = read_pricing(TOML)
    assert pricing.of("aidc-ai/ovis-image", own).usd == Decimal("0.002")
    assert pricing.of("another", own).usd == Decimal("0.01")
    assert Pricing().of("another", own) == own


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("/no/such/prices.toml", "cannot be read"),
        ("default.usd = ", "neither TOML nor JSON"),
        ("default = 0.01", "must be a table with usd"),
        ("default.usd = 'x'", "must be a number of US dollars"),
        ("default.usd = true", "must be a number of US dollars"),
        ("default.usd = nan", "from 0 to 1000000"),
        ("default.usd = -1", "from 0 to 1000000"),
        ("default.usd = 0.0000001", "at most 6 decimals"),
        ("default = {usd = 1, per = 'pixel'}", "one of output, megapixel, second"),
        ("default = {usd = 1, per = 'second'}", "most_seconds goes with"),
        ("default = {usd = 1, most_seconds = 5}", "most_seconds goes with"),
        ("default = {usd = 1, per = 'second', most_seconds = 0}", "from 1 to 86400"),
        ("default = {usd = 1, prize = 2}", "default.prize is not known"),
        ("models = 1", "models must be a table"),
        ("prices.usd = 1", "prices is not known"),
        ("[]", "cannot be read"),
    ],
)
def test_a_price_list_that_makes_no_sense_is_refused_at_start(monkeypatch, given, hint):
    monkeypatch.setenv("SAFELIGHT_PRICING", given)
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert refused.value.message.startswith("SAFELIGHT_PRICING: ")
    assert hint in refused.value.message


def test_a_price_of_an_unknown_model_is_refused():
    with pytest.raises(SettingsError, match=r"no model 'aidc-ai/ovis-image'"):
        read_pricing(TOML).check(["another"])


def quote_of(model, price, **fields):
    return model.quote(model.Input.parse({**CONTROLNET, **fields}), price)


def test_an_output_costs_its_price_and_magic_prompt_a_quarter_of_a_cent_more():
    price = Price(Decimal("0.01"))
    assert quote_of(ZImageControlNet(), price) == Quote(Decimal("0.01"))
    assert quote_of(ZImageControlNet(), price, enable_prompt_expansion=True) == Quote(Decimal("0.0125"))
    assert quote_of(ZImageControlNet(), Price(), enable_prompt_expansion=True) == Quote(Decimal("0.0025"))
    wan = WanImageToImage()
    asked = {"prompt": "x", "image_urls": ["https://example.org/x.png"], "prompt_extend": True}
    assert wan.quote(wan.Input.parse(asked), Price()) == Quote(Decimal("0.0025"))


def test_megapixels_are_certain_where_the_size_is():
    price = Price(Decimal("0.01"), Unit.MEGAPIXEL)
    assert quote_of(ZImageControlNet(), price, image_size="square") == Quote(Decimal("0.002621"))
    rate = Rate(Decimal("0.01"), Unit.MEGAPIXEL, Decimal(0))
    assert quote_of(ZImageControlNet(), price, image_size="auto") == Quote(Decimal("0.010486"), rate)
    assert rate.cost([(512, 512)], 9) == Decimal("0.002621")


def test_seconds_are_counted_afterwards():
    ovis = OvisImage()
    price = Price(Decimal("0.002"), Unit.SECOND, 60)
    quote = ovis.quote(ovis.Input.parse({"prompt": "x"}), price)
    assert quote.cost == Decimal("0.12")
    assert quote.rate.cost([(1024, 1024)], 2.5) == Decimal("0.005")


def test_a_price_is_told_in_both_languages():
    price = Price(Decimal("0.010"), Unit.MEGAPIXEL)
    note = ZImageControlNet().note_on(price)
    assert note.within(Language.EN) == "0.01 credits per megapixel, magic prompt 0.0025 more."
    assert note.within(Language.KO) == "메가픽셀당 0.01 크레딧, 매직 프롬프트 0.0025 추가."
    assert OvisImage().note_on(price).en == "0.01 credits per megapixel."
    assert ZImageControlNet().note_on(Price()) == ZImageControlNet.pricing_note
