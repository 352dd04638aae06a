"""The reference page of the site file."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from shelfvision.config import Site
from shelfvision.site_reference import reference

PAGE = Path(__file__).parents[1] / "docs/site-file.md"


def fields(model, path=""):
    for name, field in model.model_fields.items():
        yield f"{path}{name}", field
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from fields(inner, f"{path}{name}.")


def test_the_page_is_current():
    assert PAGE.read_text() == reference(), "the site file's models have changed: run `make docs`"


@pytest.mark.parametrize("path", [path for path, _ in fields(Site)])
def test_every_key_stands_on_the_page(path):
    assert f"| `{path.rsplit('.', maxsplit=1)[-1]}` |" in PAGE.read_text()


def test_every_key_that_is_no_section_is_described():
    bare = [
        path for path, field in fields(Site) if not field.description and not hasattr(field.annotation, "model_fields")
    ]
    assert bare == []
