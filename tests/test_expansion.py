import pytest
import torch

from safelight.engine import expansion
from safelight.engine.expansion import NANO, REAL, _answer
from safelight.engine.language_model import as_language_model
from safelight.engine.little_world import note_strange_words, strange_words
from safelight.engine.sources import NAMES, WORDS
from safelight.models.z_image_controlnet import ZImageControlNet
from tests.z_image import picture, run_with, same

MODEL = ZImageControlNet()
KNOWN = frozenset({"red", "ball", "snow", "house", "deep"})
NAMED = ("red", "ball", "house")


@pytest.fixture
def words(weights):
    (weights / WORDS).write_text("\n".join(sorted(KNOWN)))
    (weights / NAMES).write_text("\n".join(NAMED))
    yield
    (weights / WORDS).unlink()
    (weights / NAMES).unlink()


def draw(pipeline, loader, prompt, notes, **values):
    body = {"prompt": prompt, "image_url": "file:x", "loras": [], "num_inference_steps": 1, "control_end": 1}
    request = MODEL.Input.accepted(MODEL.Input.parse(body | values).settled())
    run = run_with(loader, {"image_url": picture(64, 64)}, seed=request.seed, notes=notes)
    (output,) = MODEL.generate(pipeline, request, run)
    return output, run.report.expanded_prompt


@pytest.mark.parametrize(
    ("prompt", "strange"),
    [
        ("a red ball on the snow", []),
        ("A RED Ball, on the snow!", []),
        ("a red dragon near the castle", ["dragon", "castle"]),
        ("눈 위의 빨간 공", ["눈", "위의", "빨간", "공"]),
        ("ball 7", ["7"]),
        ("...", []),
    ],
)
def test_a_prompt_is_of_the_little_world_when_it_knows_every_word(prompt, strange):
    assert strange_words(prompt, KNOWN) == strange


def test_a_prompt_from_outside_the_little_world_stays_with_a_note(pipeline, loader, words):
    notes = []
    plain, _ = draw(pipeline, loader, "a dragon", [])
    image, expanded = draw(pipeline, loader, "a dragon", notes, enable_prompt_expansion=True)
    assert same(image, plain)
    assert expanded == "a dragon"
    assert notes == [
        "Magic prompt left the prompt as it is, because nano weights do not know all of it.",
        "Nano weights do not know “dragon”: the picture shows what they know.",
    ]


@pytest.mark.parametrize("count", [1, 5, 6, 2000])
def test_a_note_names_a_handful_of_words_at_most(loader, words, count):
    notes = []
    prompt = " ".join(f"word{number}" * 5 for number in range(count))
    note_strange_words(run_with(loader, {}, notes=notes), prompt)
    assert len(notes[0]) < 300
    assert ("more words" in notes[0]) == (count > 5)


def test_what_is_drawn_is_the_expanded_prompt(pipeline, loader, words, monkeypatch):
    # The likeliest words of random weights are blanks.
    monkeypatch.setattr(expansion, "NANO", REAL)
    notes = []
    image, expanded = draw(pipeline, loader, "deep snow", notes, enable_prompt_expansion=True)
    plain, nothing = draw(pipeline, loader, "deep snow", [])
    assert nothing is None
    assert expanded not in {"", "deep snow"}
    assert not same(image, plain)
    assert same(image, draw(pipeline, loader, expanded, [])[0])
    assert not [note for note in notes if note.startswith("Magic")]


@pytest.mark.parametrize(
    ("prompt", "lost"), [("a RED ball", "“red”, “ball”"), ('"deep snow"', "“deep snow”")]
)
def test_a_longer_prompt_that_loses_what_was_named_is_not_taken(
    pipeline, loader, words, monkeypatch, prompt, lost
):
    asked = []

    def answer(pipeline, recipe, prompt, seed):
        asked.append((recipe.sampled, seed))
        return "A house in deep, white snow."

    monkeypatch.setattr(expansion, "_answer", answer)
    notes = []
    image, expanded = draw(pipeline, loader, prompt, notes, enable_prompt_expansion=True, seed=5)
    assert same(image, draw(pipeline, loader, prompt, [], seed=5)[0])
    assert expanded == prompt
    assert notes == [f"Magic prompt left the prompt as it is, because what it wrote lost {lost}."]
    assert asked == [(False, 5), (True, 6), (True, 7)]


def test_of_several_answers_the_first_that_keeps_all_is_taken(pipeline, loader, words, monkeypatch):
    answers = iter(["A large house.", "A Red house, large.", "never asked for"])
    monkeypatch.setattr(expansion, "_answer", lambda *_, **__: next(answers))
    assert draw(pipeline, loader, "a red house", [], enable_prompt_expansion=True)[1] == "A Red house, large."


def test_the_same_job_expands_to_the_same_words(pipeline):
    """Also where words are drawn: the seed decides, and the process's own random numbers do not."""
    torch.manual_seed(1)
    first = _answer(pipeline, REAL, "a red ball", seed=3)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    assert _answer(pipeline, REAL, "a red ball", seed=3) == first
    assert torch.equal(torch.random.get_rng_state(), before)
    assert _answer(pipeline, REAL, "a red ball", seed=4) != first


def test_the_answer_ends_where_the_encoder_ends_it(pipeline, monkeypatch):
    end = pipeline.tokenizer.convert_tokens_to_ids("<|im_end|>")
    embedding = pipeline.text_encoder.embed_tokens.weight
    with torch.no_grad():
        kept = embedding[end].clone()
        given = pipeline.tokenizer("a", return_tensors="pt")
        states = pipeline.text_encoder(**given).last_hidden_state
        embedding[end] = states[0, -1] * 100
    try:
        tokens = pipeline.tokenizer(_answer(pipeline, NANO, "a", seed=0)).input_ids
    finally:
        with torch.no_grad():
            embedding[end] = kept
    assert len(tokens) < NANO.max_new_tokens
    assert end not in tokens


def test_no_weights_are_copied(pipeline):
    model = as_language_model(pipeline.text_encoder)
    assert model.lm_head.weight is pipeline.text_encoder.embed_tokens.weight
    assert not any(parameter.is_meta for parameter in model.parameters())
