"""Charts say in words what they show, and hold nothing but shapes and text."""

from datetime import UTC, date, datetime
from xml.etree import ElementTree as ET

from policy_store.web.charts import sessions_chart, share, stacked
from policy_store.web.views.overview import Day

_NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_a_chart_has_a_title_and_a_sentence_for_a_screen_reader() -> None:
    chart = sessions_chart([Day(date(2026, 11, 20), 12, 2), Day(date(2026, 11, 21), 10, 0)], _NOW)
    assert chart is not None
    svg = ET.fromstring(str(chart))  # noqa: S314 - our own
    assert svg.get("role") == "img"
    words = {child.get("id"): child.text for child in svg if child.tag in ("title", "desc")}
    assert [words[id_] for id_ in svg.get("aria-labelledby", "").split()] == [
        "Sessions by day, passed and failed",
        "22 sessions in 30 days, 2 failed, the most on 2026-11-20: 2",
    ]


def test_there_is_no_chart_of_nothing() -> None:
    assert sessions_chart([], _NOW) is None


def test_names_are_never_markup() -> None:
    chart = str(stacked("<b>", "&", ["<i>"], {"passed": [1], "failed": [0]})) + str(share("<b>", "&", {"enforce": 1}))
    assert "<b>" not in chart
    assert "<i>" not in chart
    for word in ("<script", "<style", "style=", "http://www.w3.org/1999"):
        assert word not in chart
