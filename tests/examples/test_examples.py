"""Each example in a short form: the same files and threat, fewer rows and epochs, through to a verified release."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

import hauberk
from hauberk.core.progress import Progress
from hauberk.custody.seen import Seen

EXAMPLES = Path(__file__).parents[2] / "examples"
# name: (limit, epochs); None leaves out what a scikit-learn estimator does not take.
SHORT = {"digits": (600, 8), "diagnosis": (300, None), "stop-sign": (1500, 3), "lending": (3000, 4)}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SHORT))
def test_an_example_runs_from_data_to_a_verified_release(name, tmp_path, request):
    if "HAUBERK_DATA" in (EXAMPLES / name / "hauberk.toml").read_text():
        request.getfixturevalue("datasets")
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(EXAMPLES / name / "model.py", folder)
    limit, epochs = SHORT[name]
    text = (EXAMPLES / name / "hauberk.toml").read_text()
    text = text.replace("[model]", f"limit = {limit}\n\n[model]", 1)
    text = re.sub(r"rows = \d+", "rows = 100", text)
    if epochs:
        # Of few rows in few epochs only small batches are steps enough.
        text = re.sub(r"epochs = \d+", f"epochs = {epochs}" + ("" if "batch" in text else "\nbatch = 32"), text)
    # The short form is too small for the example's own bars: what it must show is that hardening helps and is proven.
    text = re.sub(
        r"\[gate\].*", '[gate]\nclean_accuracy = ">= 0.1"\nexport_agreement = ">= 0.99"\n', text, flags=re.DOTALL
    )
    (folder / "hauberk.toml").write_text(text)
    seen = Seen(tmp_path / "seen.json")
    result = hauberk.protect(
        folder, passphrase=lambda: b"correct horse", progress=Progress(visible=False), seen=seen
    )
    assert result.allowed, result.verdict
    assert hauberk.verify(result.release, key=result.key_id, seen=seen).ok
    robust = {}
    for step in result.steps:
        for logged in step.logged:
            predicate = logged.statement.predicate
            if predicate.get("control") == "evasion":
                robust[predicate["role"]] = predicate["metrics"]["robust_accuracy"]
    if name != "stop-sign":  # three epochs on some of the pictures teach either model too little to compare
        assert robust["hardened"] >= robust["plain"]


@pytest.mark.slow
def test_the_pair_that_buys_a_yes_is_found_and_buys_none_afterwards(tmp_path, datasets, monkeypatch):
    assert datasets
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "correct horse")
    monkeypatch.setenv("HAUBERK_STATE", str(tmp_path / "seen.json"))
    spec = importlib.util.spec_from_file_location("story", EXAMPLES / "lending" / "poisoned" / "story.py")
    story = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(story)
    told = {policy: effect for policy, effect, _ in story.tell(tmp_path)}
    assert told["report"].success > 0.9
    assert told["quarantine"].success < 0.1
    assert abs(told["report"].accuracy - told["quarantine"].accuracy) < 0.01  # accuracy tells nothing of it
