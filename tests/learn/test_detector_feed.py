"""What batches of several sources are made of."""

import cv2
import numpy as np

from shelfvision.core.letterbox import PADDING
from shelfvision.data.augment_settings import AUGMENT_OFF
from shelfvision.data.dataset import Dataset
from shelfvision.learn.detector_feed import DetectorFeed
from shelfvision.learn.distributed import Processes
from shelfvision.learn.picture_sets import join
from shelfvision.learn.train_settings import DetectorSettings
from tests.data.builders import picture


def test_an_input_holds_no_part_of_a_picture_whose_source_labels_other_classes(tmp_path):
    """A class that only one of two sources labels would else be taught as background, or not be taught.

    Pictures of the first source are darker than what is put around them, those of the second brighter.
    """
    sources = []
    for grey, labels in ((0, ("product", "gap")), (200, ("product",))):
        path = tmp_path / f"{grey}.png"
        cv2.imwrite(str(path), np.full((48, 64, 3), grey, np.uint8))
        sources.append(Dataset(labels, (picture(path, [(4, 4, 30, 40)]),) * 4))
    trained = join(sources, ["product", "gap"], [1, 2.5])
    mixing = AUGMENT_OFF.model_copy(update={"mosaic": 1.0, "copy_paste": 1.0})
    settings = DetectorSettings.model_validate(
        {"out": "out", "batch": 4, "size": 64, "workers": 0, "data": {"train": [{"path": "a"}]}, "augment": mixing}
    )
    feed = DetectorFeed(trained, None, settings, Processes())
    for batch in feed.training(1):
        for image, index in zip(batch.images, batch.indices, strict=True):
            assert (image <= PADDING if index < 4 else image >= PADDING).all()
