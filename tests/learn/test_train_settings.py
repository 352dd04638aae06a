"""Settings of a training: the YAML file, single values on top of it, faults in words."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from shelfvision.errors import ConfigError
from shelfvision.learn.train_reference import reference
from shelfvision.learn.train_settings import DetectorSettings, load_settings, shaping_values

CONFIGS = Path(__file__).parents[2] / "configs/train"


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        path = tmp_path / "train.yaml"
        path.write_text(yaml.safe_dump({"data": {"train": [{"path": "stills"}]}, "out": "run"} | changes))
        return path

    return write


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_that_we_ship_is_valid(path):
    settings = load_settings(path)
    assert not settings.out.is_absolute()
    assert all(source.path.is_absolute() for source in settings.data.train)


def test_the_reference_page_is_current():
    page = CONFIGS.parents[1] / "docs/training-settings.md"
    assert page.read_text() == reference(), "the models of the settings have changed: run `make docs`"


def test_there_are_the_promised_configs():
    assert {"detector-default.yaml", "detector-freiburg.yaml", "detector-own.yaml"} <= {
        path.name for path in CONFIGS.iterdir()
    }


def models(model):
    yield model
    for field in model.model_fields.values():
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from models(inner)


def test_every_key_is_described():
    sections = list(models(DetectorSettings))
    assert len(sections) == 6
    bare = [
        f"{model.__name__}.{name}"
        for model in sections
        for name, field in model.model_fields.items()
        if not field.description and not hasattr(field.annotation, "model_fields")
    ]
    assert bare == []


def test_paths_of_the_file_are_taken_from_its_folder_and_out_is_not(write, tmp_path):
    path = write(model={"start": "runs/best"})
    settings = load_settings(path)
    assert settings.data.train[0].path == tmp_path / "stills"
    assert settings.model.start == str(tmp_path / "runs/best")
    assert settings.out == Path("run")


@pytest.mark.parametrize("start", ["default", "imagenet", "none"])
def test_words_for_a_start_are_no_paths(write, start):
    assert load_settings(write(model={"start": start})).model.start == start


def test_single_values_come_on_top(write):
    changes = ["lr=0.5", "data.train.0.path=other", "data.train[0].repeat=3", "augment.mosaic=0", "model.freeze=2"]
    settings = load_settings(write(), changes)
    assert settings.lr == 0.5
    assert settings.data.train[0].path == Path("other")  # as typed: from the working folder
    assert settings.data.train[0].repeat == 3
    assert settings.augment.mosaic == 0
    assert settings.model.freeze == 2


def test_a_list_can_be_lengthened_and_set_whole(write):
    settings = load_settings(write(), ["multi_scale=[320, 640]"])
    assert settings.multi_scale == [320, 640]
    longer = load_settings(write(), ["data.train.1={path: more}"])
    assert [source.path.name for source in longer.data.train] == ["stills", "more"]


def test_variables_are_filled_in(write, monkeypatch):
    monkeypatch.setenv("PICTURES", "/srv/pictures")
    path = write(data={"train": [{"path": "${PICTURES}/a"}]})
    assert load_settings(path).data.train[0].path == Path("/srv/pictures/a")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, r"train.yaml: epochs: expected .*greater than or equal to 1, found 0"),
        ({"lr": "fast"}, r"train.yaml: lr: expected a number, found 'fast'"),
        ({"epoch": 5}, r"train.yaml: epoch: unknown key.*did you mean 'epochs'"),
        ({"size": 100}, r"train.yaml: size: expected .*multiple of 32, found 100"),
        ({"labels": ["a", "a"]}, r"train.yaml: labels: 'a' stands there twice"),
        ({"data": {"train": []}}, r"train.yaml: data.train: expected it to have at least 1 item"),
        ({"data": {"train": [{"path": "a"}], "val": [{"path": "b"}], "hold_out": 3}}, r"data: give val or hold_out"),
        ({"model": {"freeze": -1}}, r"model.freeze.*from 0 on"),
        ({"model": {"start_share": 1}}, r"model.start_share.*from 0 on that is less than 1"),
        ({"model": {"start_share": "half"}}, r"model.start_share"),
        ({"augment": {"mosaic": 2}}, r"train.yaml: augment.mosaic: expected .*less than or equal to 1, found 2"),
        ({"precision": "int8"}, r"precision: expected 'auto', 'fp32', 'bf16' or 'fp16', found 'int8'"),
        ({"data": {"train": [{"path": "${NO_SUCH_VARIABLE}"}]}}, r"NO_SUCH_VARIABLE is not set"),
    ],
)
def test_a_fault_names_file_key_and_what_was_expected(write, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_settings(write(**changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("lr=fast", r"^--set lr=fast: lr: expected a number, found 'fast'"),
        ("lr", r"^--set lr: expected key=value"),
        ("=3", r"expected key=value"),
        ("model.bakbone=x", r"^--set model.bakbone=x: model.bakbone: unknown key.*'backbone'"),
        ("data.train.7.path=x", r"data.train has the items 0 to 0, found '7'"),
        ("out.deeper=x", r"out is 'run', nothing can be put into it"),
        ("lr=[", r"no YAML value"),
    ],
)
def test_a_faulty_change_is_named_as_it_was_typed(write, change, message):
    with pytest.raises(ConfigError, match=message):
        load_settings(write(), [change])


def test_all_faults_come_at_once(write):
    with pytest.raises(ConfigError) as caught:
        load_settings(write(epochs=0, size=100), ["lr=fast", "batch"])
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize("text", ["", "- a", "just words", "a: [", "a: 1\na: 2"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"train\.yaml"):
        load_settings(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(tmp_path / "nowhere.yaml")


def test_what_a_resumed_training_may_change(write, tmp_path):
    one = shaping_values(load_settings(write()))
    same = load_settings(write(), ["out=b", "workers=9", "device=cpu", "patience=3", "data.train.0.path=moved"])
    assert shaping_values(same) == one
    other = shaping_values(load_settings(write(), ["augment.mosaic=0.1"]))
    assert {key for key in one if one[key] != other[key]} == {"augment.mosaic"}
