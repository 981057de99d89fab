import numpy as np
import pytest
import torch
from PIL import Image
from transformers import RTDetrForObjectDetection

from safelight.engine import preprocess as preprocessors
from safelight.engine.joints import crop_map, joints_in, peaks
from safelight.engine.preprocess import canny, depth, people, pose, preprocess
from safelight.engine.protocol import Generate, Setup
from safelight.engine.runner import Runner
from safelight.engine.skeleton import COLOURS, LIMBS, NECK, NOSE, Figure, draw_skeletons
from safelight.engine.weights import Loader
from safelight.errors import InvalidInput
from safelight.models import base
from safelight.models.base import Part
from safelight.models.z_image_controlnet import ZImageControlNet
from tests.tiny_preprocessors import save_tiny_preprocessors
from tests.z_image import PROMPT, picture, run_with, same

MODEL = ZImageControlNet()
KINDS = ("none", "canny", "depth", "pose")


@pytest.fixture(scope="module")
def weights(weights):
    return save_tiny_preprocessors(weights)


@pytest.fixture(scope="module")
def detecting(weights):
    """With a person detector, as the real weights have."""
    parts = {**MODEL.weights.nano, "person_detector": Part("preprocess", "person_detector")}
    return Loader(parts, "cpu", {}, weights)


def coco(**points):
    """COCO's 17 keypoints with only these seen."""
    names = ("nose", "l_eye", "r_eye", "l_ear", "r_ear", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow")
    names += ("l_wrist", "r_wrist", "l_hip", "r_hip", "l_knee", "r_knee", "l_ankle", "r_ankle")
    return Figure.from_coco([points.get(name, (0, 0)) for name in names], [name in points for name in names])


# --- The skeleton ---------------------------------------------------------------------------------------


def test_the_neck_lies_between_the_shoulders():
    figure = coco(l_shoulder=(60, 40), r_shoulder=(40, 50), nose=(50, 20))
    assert figure.joints[NECK] == (50, 45)
    assert figure.joints[NOSE] == (50, 20)
    assert coco(l_shoulder=(60, 40)).joints[NECK] is None


def test_joints_are_in_openposes_order():
    figure = coco(
        r_wrist=(1, 2), l_wrist=(3, 4), r_ankle=(5, 6), l_ankle=(7, 8), r_ear=(9, 10), l_ear=(11, 12)
    )
    assert [figure.joints[number] for number in (4, 7, 10, 13, 16, 17)] == [
        (1, 2),
        (3, 4),
        (5, 6),
        (7, 8),
        (9, 10),
        (11, 12),
    ]


def test_limbs_and_joints_have_openposes_colours():
    figure = coco(l_shoulder=(300, 100), r_shoulder=(100, 100), r_elbow=(100, 300))
    pixels = np.asarray(draw_skeletons([figure], (400, 400)))
    assert pixels[100, 200].tolist() == list(COLOURS[NECK])
    assert pixels[100, 100].tolist() == list(COLOURS[2])
    # Limbs are darker: neck to right shoulder is the first, shoulder to elbow the third.
    assert LIMBS[0] == (1, 2)
    assert LIMBS[2] == (2, 3)
    assert pixels[100, 150].tolist() == [int(part * 0.6) for part in COLOURS[0]]
    assert pixels[200, 100].tolist() == [int(part * 0.6) for part in COLOURS[2]]
    assert pixels[350, 350].tolist() == [0, 0, 0]


def test_what_is_unseen_is_not_drawn():
    assert not np.asarray(draw_skeletons([coco()], (64, 64))).any()
    assert not np.asarray(draw_skeletons([], (64, 64))).any()


def test_every_figure_is_drawn_and_may_reach_over_the_edge():
    one = coco(l_shoulder=(300, 100), r_shoulder=(-100, 100))
    other = coco(l_shoulder=(90, 500), r_shoulder=(10, 500))
    both = np.asarray(draw_skeletons([one, other], (200, 600)))
    assert both[100].any()
    assert both[500].any()


# --- Depth and pose -------------------------------------------------------------------------------------


def test_depth_reaches_from_black_to_white_in_the_size_of_the_image(loader):
    guide = depth(picture(200, 120), loader)
    pixels = np.asarray(guide)
    assert guide.size == (200, 120)
    assert (pixels[..., 0] == pixels[..., 1]).all()
    assert pixels.min() < 40
    assert pixels.max() > 215


def test_the_depth_of_nothing_is_black(loader, monkeypatch):
    model = loader.part("depth", preprocessors.DepthAnythingForDepthEstimation)
    monkeypatch.setattr(type(model), "forward", lambda self, **_: Still())
    assert not np.asarray(depth(picture(64, 64), loader)).any()


class Still:
    predicted_depth = torch.full((1, 8, 8), 3.0)


def test_a_pose_is_drawn_in_the_size_of_the_image(loader):
    notes = []
    guide = pose(picture(200, 120), run_with(loader, {}, notes=notes))
    assert guide.size == (200, 120)
    assert np.asarray(guide).any()
    assert notes == []


@pytest.mark.parametrize("box", [[0, 0, 200, 120], [50, 20, 30, 80], [-20, -20, 60, 60]])
def test_the_box_lies_in_the_middle_of_what_the_model_is_shown(box):
    matrix = crop_map(box, (48, 64))
    middle = (box[0] + box[2] / 2, box[1] + box[3] / 2, 1)
    assert matrix @ middle == pytest.approx([23.5, 31.5])
    corners = matrix @ np.array([(box[0], box[1], 1), (box[0] + box[2], box[1] + box[3], 1)]).T
    assert (corners.max(1) - corners.min(1) <= np.array([48, 64]) / 1.25 + 1e-6).all()


def test_the_hottest_place_is_a_joint():
    heat = np.zeros((2, 16, 12))
    heat[0, 5, 7], heat[0, 5, 8] = 0.9, 0.5
    heat[1, 0, 11] = 0.4
    points, scores = peaks(heat)
    assert points.tolist() == [[7.25, 5.0], [11.0, 0.0]]
    assert scores.tolist() == [0.9, 0.4]


def test_a_joint_is_found_where_it_is_in_the_image(loader, monkeypatch):
    """The model is real; its heat is put where one pixel of the crop is white."""
    model = loader.part("pose", preprocessors.VitPoseForPoseEstimation)
    image = Image.new("RGB", (300, 200))
    image.paste("white", (118, 78, 123, 83))

    def hottest_where_bright(self, pixel_values):
        heat = torch.nn.functional.interpolate(pixel_values.mean(1, keepdim=True), (16, 12), mode="area")
        return Hot(heat.expand(1, 17, 16, 12))

    monkeypatch.setattr(type(model), "forward", hottest_where_bright)
    points, _ = joints_in(model, image, [80, 40, 80, 100])
    assert np.abs(points - (120, 80)).max() < 6


class Hot:
    def __init__(self, heatmaps):
        self.heatmaps = heatmaps


def test_without_a_detector_the_whole_image_is_one_persons(loader, detecting):
    assert people(picture(200, 120), loader) == [[0.0, 0.0, 200.0, 120.0]]
    assert people(picture(200, 120), detecting) == []


def test_only_people_are_detected(detecting, monkeypatch):
    """Boxes come as centre and size, in parts of the image; scores as logits."""
    found = RTDetrForObjectDetection.forward

    def confident(self, **inputs):
        outputs = found(self, **inputs)
        outputs.logits = torch.full_like(outputs.logits, -9)
        outputs.pred_boxes = torch.full_like(outputs.pred_boxes, 0.5)
        outputs.logits[0, 0, 0] = outputs.logits[0, 1, 1] = 9
        return outputs

    monkeypatch.setattr(RTDetrForObjectDetection, "forward", confident)
    (box,) = people(picture(200, 120), detecting)
    assert box == pytest.approx([50, 30, 100, 60], abs=0.01)


def test_an_image_without_people_gives_black_and_a_note(detecting):
    notes = []
    guide = pose(picture(64, 64), run_with(detecting, {}, notes=notes))
    assert not np.asarray(guide).any()
    assert notes == ["No person was found in the image, so there is no pose to follow."]


def test_what_has_no_weights_here_is_refused_with_what_works(weights, tmp_path, monkeypatch):
    body = {"prompt": PROMPT, "image_url": "file:x", "loras": []}
    asked = {kind: MODEL.Input.parse(body | {"preprocess": kind}) for kind in KINDS}
    monkeypatch.setattr(base, "NANO_DIR", weights)
    for kind in KINDS:
        MODEL.check_installed(asked[kind])
    monkeypatch.setattr(base, "NANO_DIR", tmp_path)
    (tmp_path / "preprocess" / "pose").mkdir(parents=True)
    for kind in ("none", "canny", "pose"):
        MODEL.check_installed(asked[kind])
    with pytest.raises(InvalidInput) as caught:
        MODEL.check_installed(asked["depth"])
    assert caught.value.fields[0].field == "preprocess"
    assert caught.value.text.en == (
        "preprocess must be one of none, canny, pose: the weights for depth are not installed on this server"
    )
    assert "none, canny, pose. 이 서버에는 depth에 필요한 가중치가" in caught.value.text.ko


def test_a_worker_that_lacks_the_weights_says_what_works(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "NANO_DIR", tmp_path)
    body = {"prompt": PROMPT, "image_url": "file:x", "loras": [], "preprocess": "depth"}
    runner = Runner(Setup("cpu", None), lambda message: None, lambda: False)
    failed = runner.run(Generate("job", MODEL.id, MODEL.Input.parse(body).settled(), {}, str(tmp_path)))
    assert failed.code == "invalid_input"
    assert "must be one of none, canny: the weights for depth" in failed.en


@pytest.mark.parametrize("kind", KINDS)
def test_every_preprocessor_reaches_the_controlnet(loader, kind):
    pipeline = MODEL.load(loader)
    image = picture(96, 64)

    def draw(given, preprocess):
        body = {"prompt": PROMPT, "image_url": "file:x", "loras": [], "preprocess": preprocess}
        body |= {"num_inference_steps": 1, "control_end": 1}
        request = MODEL.Input.accepted(MODEL.Input.parse(body).settled())
        (output,) = MODEL.generate(pipeline, request, run_with(loader, {"image_url": given}))
        return output

    guide = preprocess(kind, image, run_with(loader, {}))
    assert same(draw(image, kind), draw(guide, "none"))
    if kind != "none":
        assert not same(draw(image, kind), draw(image, "none"))


def test_the_same_image_gives_the_same_guide(loader):
    for kind in ("canny", "depth", "pose"):
        guides = [preprocess(kind, picture(96, 64), run_with(loader, {})) for _ in range(2)]
        assert same(*guides)


def test_canny_is_as_large_as_its_image():
    assert canny(Image.new("RGB", (31, 17))).size == (31, 17)
