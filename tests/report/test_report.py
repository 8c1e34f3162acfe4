"""The report shows what the ledger states, says "no evidence" for the rest, and nothing in it can run or fetch."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from hauberk.core import canonical
from hauberk.core.errors import NotProven
from hauberk.core.evidence import Subject
from hauberk.core.practices import PRACTICES
from hauberk.core.text import visible
from hauberk.custody.statements import EVENT, EVIDENCE, PROVENANCE, RULINGS, VSA
from hauberk.report import Attested, Source, chain, examples, render, stages
from hauberk.report.reading import Reading
from hauberk.report.svg import tag
from hauberk.report.terminal import summary_table

from . import report_source as made

VOID = {"meta", "link", "br", "img", "input", "hr"}
HOSTILE = "<script>alert(1)</script>\"'><img src=https://evil.example/x onerror=alert(1)>{{ 7*7 }}"
SOURCES = {
    "whole": made.whole,
    "refused": lambda: made.whole(allowed=False),
    "table": made.table,
    "nothing": made.nothing,
}


class Page(HTMLParser):
    """Parses strictly: every element that opens is closed, in order; collects what could fetch, link and run."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in ("td", "th", "dt", "dd"):
            self.text.append(" ")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


def section(html: str, name: str) -> str:
    """Return the words of one section."""
    found = re.search(rf'<section aria-labelledby="{name}">(.*?)</section>', html, re.DOTALL)
    assert found
    return Page(found[1]).words


def changed(source: Source, index: int, **predicate: object) -> Source:
    """Return the source with fields of one entry's predicate replaced."""
    entries = list(source.attestations)
    entry = entries[index]
    entries[index] = dataclasses.replace(entry, predicate={**entry.predicate, **predicate})
    return dataclasses.replace(source, attestations=tuple(entries))


def entry_of(source: Source, kind: str, **fields: object) -> Attested:
    return next(
        e
        for e in source.attestations
        if e.predicate_type == kind and all(e.predicate.get(key) == value for key, value in fields.items())
    )


@pytest.mark.parametrize("name", SOURCES)
def test_page_is_well_formed_fetches_nothing_and_runs_nothing(name):
    html = render(SOURCES[name]())
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert not {"script", "iframe", "object", "embed", "base", "form", "audio", "video"} & {t for t, _ in page.tags}
    for tag_name, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on")]
        assert "style" not in attributes
        for key in ("src", "href", "xlink:href", "srcset", "poster", "data"):
            value = attributes.get(key, "#")
            assert value.startswith(("#", "data:")), (tag_name, key, value)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")


@pytest.mark.parametrize("name", SOURCES)
def test_links_lead_somewhere_ids_are_unique_and_pictures_have_words(name):
    page = Page(render(SOURCES[name]()))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag_name, attributes in page.tags:
        if tag_name == "a":
            assert attributes["href"].removeprefix("#") in ids
        if tag_name == "img":
            assert attributes["alt"]
        if tag_name == "th":
            assert attributes["scope"] in ("col", "row")
        for reference in attributes.get("aria-labelledby", "").split():
            assert reference in ids


@pytest.mark.parametrize("name", SOURCES)
def test_same_source_gives_the_same_bytes(name):
    assert render(SOURCES[name]()) == render(SOURCES[name]())


def test_empty_ledger_says_no_evidence_in_every_section():
    html = render(made.nothing())
    for name in ("worth", "radius", "twins", "data", "verdict", "practices", "ledger"):
        assert "no evidence" in section(html, name), name
    assert section(html, "practices").count("no evidence") == len(PRACTICES)
    assert section(html, "custody").count("no evidence") == 10
    assert "Release allowed" not in html
    assert not re.search(r"\d %", Page(html).words)


def test_headline_puts_both_models_side_by_side():
    words = section(render(made.whole()), "worth")
    for figure in (
        "95.4 %",
        "93.1 %",
        "6.9 %",
        "70.8 %",
        "48.2 s",
        "4 min 24 s",
        "\N{MINUS SIGN}2.3 points",
        "+63.9 points",
        "5.5 \N{MULTIPLICATION SIGN}",
    ):
        assert figure in words
    assert (
        "the plain model is right on 6.9 % of the inputs and the hardened one on 70.8 %: 63.9 points more" in words
    )
    assert "The price: 2.3 points of clean accuracy and 5.5 \N{MULTIPLICATION SIGN} the training time." in words


def test_hardening_that_made_things_worse_is_told_so():
    source = made.whole()
    attack = entry_of(source, EVIDENCE, control="evasion", role="hardened")
    worse = changed(source, attack.index, metrics={"clean_accuracy": 0.97, "robust_accuracy": 0.05})
    words = section(render(worse), "worth")
    assert "on 5.0 %: 1.9 points fewer" in words
    assert "no clean accuracy (1.6 points gained)" in words


@pytest.mark.parametrize(
    ("control", "role", "metric"),
    [
        ("evasion", "plain", "clean_accuracy"),
        ("evasion", "plain", "robust_accuracy"),
        ("evasion", "hardened", "clean_accuracy"),
        ("evasion", "hardened", "robust_accuracy"),
        ("training", "plain", "seconds"),
        ("training", "hardened", "seconds"),
    ],
)
def test_each_headline_figure_is_read_from_its_own_attestation(control, role, metric):
    source = made.whole()
    entry = entry_of(source, EVIDENCE, control=control, role=role)
    metrics = {**entry.predicate["metrics"], metric: 0.4567}
    shown = section(render(changed(source, entry.index, metrics=metrics)), "worth")
    assert ("0.5 s" if metric == "seconds" else "45.7 %") in shown
    del metrics[metric]
    assert "no evidence" in section(render(changed(source, entry.index, metrics=metrics)), "worth")


def test_each_point_of_the_plot_comes_from_the_series():
    source = made.whole()
    entry = entry_of(source, EVIDENCE, control="evasion", role="plain")
    points = [{"x": i / 255, "y": 0.5 - i / 100} for i in range(7)]
    words = section(render(changed(source, entry.index, series={"accuracy_by_radius": points})), "radius")
    for i in range(7):
        assert f"plain: {50 - i}.0 % at" in words or f"{50 - i}.0 % at" in words
    assert "declared budget 4/255" in words
    empty = render(changed(source, entry.index, series={}))
    assert 'class="line hardened"' in empty
    assert 'class="line plain"' not in empty


def test_a_certified_curve_stands_beside_the_empirical_one():
    source = made.whole()
    entry = entry_of(source, EVIDENCE, control="evasion", role="hardened")
    points = [{"x": i / 255, "y": 0.6 - i / 20} for i in range(9)]  # further than the attack went
    series = {**entry.predicate["series"], "certified_accuracy_by_radius": points}
    metrics = {**entry.predicate["metrics"], "certified_accuracy": 0.4321}
    page = render(changed(source, entry.index, series=series, metrics=metrics))
    assert page.count('class="line hardened certified"') == 1
    assert "hardened, certified: 60.0 % at 0" in section(page, "radius")
    assert "Certified: pixels" in page
    assert "43.2 %" in page
    one = render(changed(source, entry.index, series={**series, "certified_accuracy_by_radius": points[:1]}))
    assert "certified" not in section(one, "radius")
    assert "Certified:" not in render(source)


def trained(**predicate: object) -> str:
    """The page of a whole run whose hardening left other evidence; series and metrics are added to its own."""
    source = made.whole()
    entry = entry_of(source, EVIDENCE, control="training", role="hardened")
    added = {name: {**entry.predicate[name], **value} for name, value in predicate.items()}
    return render(changed(source, entry.index, **added))


def drawn(html: str) -> list[tuple[str, float, float, str]]:
    """Each epoch's words, place and look, in the trade-off's picture."""
    picture = re.search(r'<svg[^>]*aria-labelledby="tradeoff-plot-title.*?</svg>', html, re.DOTALL)[0]
    dot = r'<circle cx="([\d.]+)" cy="([\d.]+)" r="[\d.]+"(?: class="(\w+)")?><title>(.*?)</title>'
    return [(words, float(x), float(y), look) for x, y, look, words in re.findall(dot, picture)]


def test_the_trade_off_has_a_point_for_each_epoch_and_marks_the_kept_one():
    html = trained()
    dots = {words: (x, y, look) for words, x, y, look in drawn(html)}
    told = [
        f"epoch {i}: {c * 100:.1f} % clean, {r * 100:.1f} % under attack" for i, (c, r) in enumerate(made.EPOCHS, 1)
    ]
    assert sorted(dots) == told
    assert [words for words in told if dots[words][2] == "kept"] == [told[4]]
    assert [words for words in told if dots[words][2] == "ring"] == [told[0], told[6]]
    by_clean, by_robust = sorted(told, key=lambda w: dots[w][0]), sorted(told, key=lambda w: -dots[w][1])
    assert by_clean == told  # further right is right more often
    assert by_robust[-2:] == [told[5], told[4]]  # further up withstands more
    words = section(html, "tradeoff")
    assert (
        "Epoch 5 was kept: then the model was right on 91.0 % of the held-out rows as they are, and on 72.0 %"
        in words
    )
    assert "After the last, epoch 7, it was right on 94.0 % and 64.0 %" in words
    labels = ["kept epoch 5", "last epoch 7", "first epoch 1"]
    found = [re.sub(r"<.*?>", " ", text) for text in re.findall(r'<text[^>]*class="end.*?</text>', html)]
    assert [label for label in labels if label in [" ".join(text.split()) for text in found]] == labels


def test_where_nothing_says_which_epoch_was_kept_it_is_the_last():
    source = made.whole()
    entry = entry_of(source, EVIDENCE, control="training", role="hardened")
    pgd = entry.predicate["series"]["held_out_robust_accuracy"]
    series = {"held_out_clean_accuracy": entry.predicate["series"]["held_out_clean_accuracy"]}
    series["held_out_pgd_accuracy"] = pgd  # as the guard of single-step training leaves it
    html = render(changed(source, entry.index, series=series, metrics={}))
    assert [words[:7] for words, _, _, look in drawn(html) if look == "kept"] == ["epoch 7"]
    assert "It was the last." in section(html, "tradeoff")


@pytest.mark.parametrize(
    "left",
    [
        {"series": {"held_out_clean_accuracy": []}},
        {"series": {"held_out_robust_accuracy": []}},
        {"series": {"held_out_robust_accuracy": [{"x": 1.0, "y": 0.5}]}},
        {"series": {"held_out_robust_accuracy": [{"x": 1.0, "y": 0.5}, {"x": 2.0, "y": 50.0}]}},
        {"metrics": {"best_epoch": 40.0}},
    ],
)
def test_without_both_series_and_a_kept_epoch_no_trade_off_is_drawn(left):
    assert "tradeoff-plot" not in trained(**left)
    assert "tradeoff-plot" in trained()


@settings(max_examples=30, deadline=None)
@given(shares=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6))
def test_every_epoch_lies_in_the_picture_and_labels_do_not_cover_one_another(shares):
    names = ("held_out_clean_accuracy", "held_out_robust_accuracy")
    series = {n: [{"x": float(i), "y": s[at]} for i, s in enumerate(shares)] for at, n in enumerate(names)}
    html = trained(series=series, metrics={"best_epoch": float(len(shares) // 2)})
    dots = drawn(html)
    assert len(dots) == len(shares)
    assert all(58 <= x <= 515 and 30 <= y <= 284 for _, x, y, _ in dots)
    picture = html[html.index("tradeoff-plot-desc") :]
    heights = sorted(
        float(y) for y in re.findall(r'<text x="525" y="([\d.]+)"', picture[: picture.index("</svg>")])
    )
    assert all(after - before >= 14 for before, after in itertools.pairwise(heights))
    assert heights[-1] <= 284


def test_each_threat_has_its_own_plot_and_its_own_row():
    book = made.book_of_run()
    threat = {"label": "far", "kind": "evasion", "norm": "l2", "eps": 0.5}
    book.entries = [e for e in book.entries if e.predicate_type != VSA]
    book.evidence(
        "evasion",
        "2a",
        "plain",
        made.model_of("plain"),
        {"clean_accuracy": 0.954, "robust_accuracy": 0.222},
        parameters={"threat": threat},
        series={"accuracy_by_radius": [{"x": 0.0, "y": 0.9}, {"x": 0.5, "y": 0.222}]},
    )
    html = render(book.source())
    assert html.count('aria-labelledby="plot-') == 2
    assert "L2 ≤ 0.5" in section(html, "worth")
    assert "22.2 %" in section(html, "worth")


def test_damaged_or_absent_examples_say_why_there_is_no_evidence():
    source = made.whole()
    absent = dataclasses.replace(source, get=made.nothing().get)
    assert section(render(absent), "twins").count("is not in the store") == 2

    def swapped(_digest: str) -> bytes:
        return made.image_examples(fooled=0, total=1)

    words = section(render(dataclasses.replace(source, get=swapped)), "twins")
    assert words.count("its digest differs") == 2
    assert "withstood" not in words

    def damaged(digest: str) -> bytes:
        raise NotProven(f"artifact {digest[:12]} is damaged.")

    assert "no evidence: artifact" in section(render(dataclasses.replace(source, get=damaged)), "twins")


def test_examples_of_both_models_are_shown_in_one_order():
    twins = section(render(made.whole()), "twins")
    rows = re.findall(r"Row (\d+)", twins)
    assert rows == ["100", "101", "102", "103"] * 2
    assert twins.count("✘ fooled") == 5
    assert twins.count("✔ withstood") == 3


def test_table_examples_show_what_was_changed_and_its_cost():
    twins = section(render(made.table()), "twins")
    assert "hours-per-week 38 42 4" in twins
    assert "all changes 6" in twins
    assert "hours-per-week +5, occupation (any category); total cost ≤ 6" in section(render(made.table()), "worth")


def test_a_threat_of_many_columns_is_told_in_short():
    columns = [{"column": f"c{i}", "by": 1.0, "direction": "both", "cost": 0.0} for i in range(30)]
    source = made.table()
    for index in (0, 1):
        source = changed(source, index, parameters={"threat": {**made.TABLE_THREAT, "columns": columns}})
    words = section(render(source), "worth")
    assert "c0 ±1, c1 ±1, c2 ±1 and 27 more columns; total cost ≤ 6" in words
    assert "c3" not in words


def test_findings_are_sorted_by_severity_and_each_names_its_entry():
    words = section(render(made.whole()), "data")
    places = [words.index(f" {severity} ") for severity in ("high", "medium", "low")]
    assert places == sorted(places)
    assert "Keep one of them" in words
    assert "37 rows, limit 5" in words


def test_a_check_that_was_not_made_says_no_evidence():
    source = made.whole()
    leakage = entry_of(source, EVIDENCE, control="leakage")
    words = section(render(changed(source, leakage.index, control="other")), "data")
    assert "leakage \N{EN DASH} no evidence" in words


def test_verdict_shows_each_rule_and_a_failed_one():
    html = render(made.whole(allowed=False))
    words = section(html, "verdict")
    assert "Release refused" in words
    assert "robust_accuracy >= 0.8 0.708 ✘ fails" in words
    assert "clean_accuracy >= 0.9 0.931 ✔ holds" in words
    assert "no evidence" in section(html, "custody")  # there is no release


def test_a_passed_verdict_against_its_own_rules_is_not_shown_as_allowed():
    source = made.whole(allowed=False)
    verdict = entry_of(source, VSA)
    for rules in (verdict.predicate[RULINGS], []):
        html = render(changed(source, verdict.index, verificationResult="PASSED", **{RULINGS: rules}))
        assert "PASSED, against its own rules" in html
        assert "Release allowed" not in html


def test_a_ruling_that_differs_from_its_evidence_is_called_out():
    source = made.whole()
    attack = entry_of(source, EVIDENCE, control="evasion", role="hardened")
    metrics = {**attack.predicate["metrics"], "robust_accuracy": 0.123}
    assert "entry says 0.123" in section(render(changed(source, attack.index, metrics=metrics)), "verdict")
    assert "entry says" not in section(render(source), "verdict")
    without = tuple(e for e in source.attestations if e.index != attack.index)
    words = section(render(dataclasses.replace(source, attestations=without)), "verdict")
    assert words.count("is not in this ledger") == 2


def test_only_what_the_verdict_judged_is_in_the_headline():
    book = made.book_of_run()
    made.attack(book, "hardened", clean=0.99, curve=(0.99,) * 7)
    html = render(book.source())
    assert "99.0 %" not in section(html, "worth")
    assert "1 later measurements (#14) are not part of this verdict" in section(html, "verdict")


def test_practices_link_to_their_attestations():
    html = render(made.whole())
    words = section(html, "practices")
    assert "1a Data verification schema, duplicates, label-errors, leakage #1 #2 #3 #4" in words
    assert "1b Data encryption sealing #5" in words
    assert "3c Watermarks and fingerprints \N{EN DASH} no evidence" in words
    assert "3a Model encryption \N{EN DASH} no evidence" in words
    sealed = made.book_of_run(sealed=True).source()
    assert "3a Model encryption release.made #13" in section(render(sealed), "practices")


def about(source: Source, index: int, *subjects: Subject) -> Source:
    """Return the source with one entry about other artifacts, and its envelope thereby another."""
    entries = list(source.attestations)
    entries[index] = dataclasses.replace(entries[index], subjects=subjects, digest="f" * 64)
    return dataclasses.replace(source, attestations=tuple(entries))


def broken(source: Source) -> set[tuple[str, str]]:
    known, links = stages.chain(Reading(source))
    without = [link for link in links if link.by is None]
    assert str(chain.picture(known, links)).count('"link unproven"') == len(without)
    return {(link.start, link.end) for link in without}


def test_chain_of_a_whole_run_is_proven_by_digests():
    assert broken(made.whole()) == set()
    words = section(render(made.whole()), "custody")
    assert f"dataset {made.DATA.sha256[:12]}" in words
    assert f"model.onnx {made.model_of('hardened')[0].sha256[:12]}" in words


def test_chain_breaks_where_other_data_were_sealed():
    source = made.whole()
    sealing = entry_of(source, EVIDENCE, control="sealing")
    other = about(source, sealing.index, Subject("dataset", canonical.sha256(b"other data")))
    assert broken(other) == {("checks", "seal"), ("seal", "training-plain"), ("seal", "training-hardened")}


def test_chain_breaks_where_another_model_on_the_same_data_was_attacked():
    source = made.whole()
    attack = entry_of(source, EVIDENCE, control="evasion", role="hardened")
    foreign = Subject("model.onnx", canonical.sha256(b"another model"))
    verdict = entry_of(source, VSA)
    # The verdict judges it all the same, as one might that was made by hand.
    inputs = [*verdict.predicate["inputAttestations"], {"digest": {"sha256": "f" * 64}}]
    other = changed(about(source, attack.index, foreign, made.DATA), verdict.index, inputAttestations=inputs)
    assert broken(other) == {("training-hardened", "attack-hardened"), ("attack-hardened", "export")}


def test_chain_breaks_where_another_model_was_released():
    source = made.whole()
    foreign = Subject("model.onnx", canonical.sha256(b"another model"))
    assert broken(about(source, source.attestations[-1].index, foreign)) == {("gate", "release")}


def test_chain_of_a_run_without_hardening_exports_the_plain_model():
    book = made.book_of_run(allowed=False)
    book.entries = [e for e in book.entries[:-1] if e.predicate.get("role") != "hardened"]
    known, links = stages.chain(Reading(book.source()))
    export = next(stage for stage in known if stage.name == "export")
    assert export.says == "plain model, as it is served"
    assert ("attack-plain", "export") in {(link.start, link.end) for link in links if link.by}


def test_chain_without_a_stage_draws_it_as_missing():
    known, links = stages.chain(Reading(made.table()))
    assert {stage.name for stage in known if stage.known} == {"attack-plain", "attack-hardened"}
    assert chain.picture(known, links).count("no evidence") == 8


def test_ledger_table_lists_every_attestation_with_its_digest():
    source = made.whole()
    words = section(render(source), "ledger")
    for entry in source.attestations:
        assert entry.digest in words
    assert source.root in render(source)


def test_how_to_verify_gives_exact_commands_versions_and_seeds():
    words = section(render(made.whole()), "verify")
    assert "hauberk verify RELEASE --key KEY" in words
    assert "hauberk ledger audit" in words
    assert "evasion · hardened 20" in words
    assert "hauberk 0.1.0, python 3.11.9, torch 2.8.0" in words


def hostile_source() -> Source:
    """Every text that another could choose, chosen badly."""
    book = made.Book()
    data = Subject(HOSTILE, canonical.sha256(b"data"))
    picture = {"prediction": HOSTILE, "confidence": 0.5, "png": HOSTILE}
    example = {"row": 1, "label": HOSTILE, "before": picture, "after": picture, "difference": {"png": HOSTILE}}
    change = {"column": HOSTILE, "from": HOSTILE, "to": HOSTILE, "cost": HOSTILE}
    for role in ("plain", "hardened"):
        kind = "image" if role == "plain" else "table"
        kept = book.keep(
            "examples.json", json.dumps({"kind": kind, "examples": [{**example, "changes": [change]}]}).encode()
        )
        book.evidence(
            "evasion",
            HOSTILE,
            role,
            (data,),
            {"clean_accuracy": 0.5, "robust_accuracy": 0.5},
            parameters={"threat": {"label": HOSTILE, "norm": HOSTILE, "eps": 0.1}, HOSTILE: HOSTILE},
            series={"accuracy_by_radius": [{"x": 0.0, "y": 0.5}, {"x": 0.1, "y": 0.4}]},
            outputs=(kept,),
            notes=[HOSTILE],
        )
    found = dict.fromkeys(("what", "severity", "advice", "threat", "unit"), HOSTILE)
    found["where"] = {"kind": "column", "name": HOSTILE, "index": None}
    book.evidence(HOSTILE, "1a", "data", (data,), {HOSTILE: 1.0}, findings=[{**found, "value": 1.0, "limit": 2.0}])
    book.event(HOSTILE, data)
    book.event(f"release.{HOSTILE}", data, released=HOSTILE)
    book.add(HOSTILE, (data,), {HOSTILE: [HOSTILE]})
    ruling = dict.fromkeys(("rule", "metric", "evidence", "reason"), HOSTILE)
    book.add(VSA, (data,), {"verificationResult": HOSTILE, RULINGS: [{**ruling, "value": HOSTILE, "holds": "yes"}]})
    source = book.source()
    return dataclasses.replace(source, project=HOSTILE, origin=HOSTILE, root=HOSTILE, key_ids=(HOSTILE,))


def test_hostile_names_are_shown_and_never_run():
    html = render(hostile_source())
    page = Page(html)
    assert "<script" not in html
    assert HOSTILE in page.words  # the braces too: no template is made of it
    assert not [t for t, _ in page.tags if t in ("script", "img")]  # the hostile picture is no PNG
    assert "✔ holds" not in page.words


def test_hidden_characters_in_names_become_visible():
    override = "safe\u202etxt.exe\u0000\u001b[2J"
    html = render(dataclasses.replace(made.whole(), project=override))
    assert "\u202e" not in html
    assert "\u001b" not in html
    assert "safe\\u202etxt.exe\\u0000\\u001b[2J" in Page(html).words


@given(st.text())
def test_markup_of_any_text_parses_back_to_what_is_visible(text):
    page = Page(tag("p", text, title=text))
    assert "".join(page.text) == visible(text)
    assert page.tags == [("p", {"title": visible(text)})]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.sampled_from(
    "control practice role parameters seed versions metrics findings series outputs notes event time details "
    f"verificationResult inputAttestations released {RULINGS}".split()
)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 13),
    FIELDS,
    JSON
    | st.lists(st.dictionaries(st.sampled_from(["x", "y", "value", "digest", "name", "holds"]), JSON), max_size=2),
)
def test_no_predicate_of_any_shape_breaks_the_page(index, field, value):
    page = Page(render(changed(made.whole(), index, **{field: value})))
    assert "Hauberk report" in page.words


@settings(max_examples=30, deadline=None)
@given(JSON | st.dictionaries(st.sampled_from(["kind", "examples"]), st.lists(JSON, max_size=2)))
def test_no_examples_of_any_shape_break_the_page(document):
    book = made.Book()
    kept = book.keep("examples.json", json.dumps(document).encode())
    book.evidence("evasion", "2a", "plain", (made.named("m"),), {}, outputs=(kept,))
    assert "no evidence" in section(render(book.source()), "twins")


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>" * 2,
        b"\xff\xd8\xff\xe0" + bytes(60),
        b"\x89PNG\r\n\x1a\n" + bytes(60),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(60),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\xff" * 60,
        b"",
    ],
)
def test_only_png_pictures_are_placed(data):
    assert examples.picture(base64.b64encode(data).decode()) is None


def test_png_is_encoded_again_and_loose_base64_is_refused():
    encoded = made.png([[(1, 2, 3)] * 5] * 4)
    picture = examples.picture(encoded)
    assert picture is not None
    assert (picture.width, picture.height) == (5, 4)
    assert picture.uri == "data:image/png;base64," + encoded
    assert examples.picture(encoded + '" onload="x') is None
    assert examples.picture(7) is None


def test_predicate_types_of_the_fixture_are_all_understood():
    kinds = {e.predicate_type for e in made.whole().attestations}
    assert kinds == {EVIDENCE, EVENT, PROVENANCE, VSA}


def screen(source: Source) -> str:
    console = Console(width=120, record=True, force_terminal=False, file=None, quiet=False)
    with console.capture() as captured:
        console.print(summary_table(source))
    return captured.get()


def test_terminal_shows_figures_findings_and_rules():
    shown = screen(made.whole(allowed=False))
    for words in (
        "95.4 %",
        "70.8 %",
        "4 min 24 s",
        "1 high, 2 medium, 1 low",
        "✘ robust_accuracy >= 0.8",
        "✔ clean",
    ):
        assert words in shown
    assert "Release refused" in shown


def test_terminal_says_no_evidence_and_cannot_be_steered():
    assert screen(made.nothing()).count("no evidence") >= 6
    shown = screen(dataclasses.replace(hostile_source(), project="[red]x[/red]\u001b[2J"))
    assert "\u001b" not in shown
    assert "[red]x[/red]\\u001b[2J" in shown
