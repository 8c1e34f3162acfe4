"""`hauberk data profile`: a page that names what matters and that no name in the table can change."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import polars as pl

from hauberk.cli.main import run
from hauberk.data.verification.profile_page import figure

EVIL = "<script>alert(1)</script>\u202e"


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "rect", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in ("li", "p") or tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def place(tmp_path):
    frame = pl.DataFrame(
        {
            EVIL: [EVIL, "b"] * 50,
            "x": [float(n % 17) for n in range(100)],
            "d": pl.date_range(pl.date(2026, 1, 1), pl.date(2026, 4, 10), eager=True),
            "y": [n % 2 for n in range(100)],
        }
    )
    frame.write_parquet(tmp_path / "x.parquet")
    return str(tmp_path / "x.parquet")


def test_the_page_is_whole_and_holds_no_script_and_fetches_nothing(tmp_path, capsys):
    assert run(["data", "profile", place(tmp_path), "--target", "y", "--html", str(tmp_path / "p.html")]) == 0
    capsys.readouterr()
    text = (tmp_path / "p.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    tags = [tag for tag, _ in reader.tags]
    assert "script" not in tags
    assert tags.count("svg") >= 4
    assert not [
        value for _, attributes in reader.tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert "\u202e" not in text
    assert "explains 99% of the target" in " ".join(reader.text)
    bars = [attributes for tag, attributes in reader.tags if tag == "rect"]
    assert all(float(one["height"]) >= 0 and float(one["width"]) > 0 for one in bars)


def test_the_screen_and_the_document(tmp_path, capsys):
    name = place(tmp_path)
    assert run(["data", "profile", name]) == 0
    shown = capsys.readouterr().out
    assert "\u202e" not in shown
    assert "bidirectional" in " ".join(shown.split())
    assert run(["data", "profile", name, "--target", "y", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows"] == 100
    assert [column["name"] for column in document["columns"]] == [EVIL, "x", "d", "y"]
    assert document["columns"][2]["low"] == "2026-01-01"
    assert run(["data", "profile", name, "--target", "z"]) == 2
    assert "has no column 'z'" in capsys.readouterr().err


def test_figures_are_read_without_powers_of_ten():
    assert [figure(one) for one in (0.12345, 88190.4, 2e12, 12345, -5e3, True)] == [
        "0.1235", "88,190", "2e+12", "12,345", "-5,000", "True",
    ]  # fmt: skip
