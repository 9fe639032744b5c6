"""Each picture of docs/diagrams is what its source renders now, and can be read."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from dev import diagrams
from tests.checkout import tracked

_WIDEST = 660  # points: 880 pixels, about what GitHub gives a page
_SMALLEST = 12  # points
_SVG = "{http://www.w3.org/2000/svg}"
_PICTURES = tracked("docs/diagrams/*.svg")


def test_each_picture_is_what_its_source_renders() -> None:
    kept = {path: path.read_text(encoding="utf-8") for path in _PICTURES}
    assert kept == diagrams.rendered(), "run 'python -m dev.diagrams'"


@pytest.mark.parametrize("path", _PICTURES, ids=lambda path: path.stem)
def test_a_picture_has_a_white_ground_and_fits_a_page_with_letters_that_can_be_read(path: Path) -> None:
    picture = ElementTree.parse(path).getroot()  # noqa: S314 - the project's own file
    assert float(picture.attrib["width"].removesuffix("pt")) <= _WIDEST
    ground = picture.find(f"{_SVG}g/{_SVG}polygon")
    assert ground is not None
    assert ground.attrib["fill"] == "white"
    assert min(float(text.attrib["font-size"]) for text in picture.iter(f"{_SVG}text")) >= _SMALLEST
