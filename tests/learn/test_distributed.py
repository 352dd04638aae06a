"""What processes that train together share."""

import pytest
import torch

from shelfvision.learn.distributed import Processes
from shelfvision.models.backbones import BACKBONES
from shelfvision.models.detector import Detector, DetectorConfig


@pytest.mark.parametrize("backbone", BACKBONES)
def test_shared_statistics_leave_the_answers_as_they_are(backbone):
    """Some layers of timm norm and activate in one; both must stay."""
    torch.manual_seed(0)
    model = Detector(DetectorConfig(("can",), backbone=backbone, neck=(16, 16, 16), head=16)).eval()
    pictures = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        before = model(pictures)
        Processes(world=2, device=torch.device("cuda")).synchronise_statistics(model)
        after = model(pictures)
    assert any(isinstance(part, torch.nn.SyncBatchNorm) for part in model.backbone.modules())
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in model.modules())
    assert torch.equal(after.logits, before.logits)
    assert torch.equal(after.boxes, before.boxes)
