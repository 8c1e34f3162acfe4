"""The algorithms that a project file names, and their parameters."""

from __future__ import annotations

import pytest

from hauberk.training.adversarial import HARDENING

from .texts import IMAGES, complaints, line_of


@pytest.mark.parametrize(
    ("section", "line", "message"),
    [
        (
            '[training]\nmethod = "pdg"',
            'method = "pdg"',
            f"known: {', '.join(entry.name for entry in HARDENING)}",
        ),
        ('[training]\nmethod = "pgd"\n[training.hardening]\nstep_size = 3', "[training.hardening]", "'step_size'"),
        ('[training]\nmethod = "pgd"\n[training.hardening]\nsteps = 0', "[training.hardening]", "steps"),
        ("[training.hardening]\nsteps = 3", "[training.hardening]", "name it"),
        ('[evaluation]\nattacks = [{name = "gpd"}]', "attacks =", "pgd, spatial, square"),
        ('[evaluation]\nattacks = [\n  {name = "pgd"},\n  {name = "square", query = 1}\n]', "query", "queries"),
        ('[evaluation]\nattacks = [{name = "coordinate-search"}]', "attacks =", "is for table data"),
        ("[checks.leak]\ntolerance = 1", "[checks.leak]", "leakage"),
    ],
)
def test_an_unknown_algorithm_or_parameter_is_told_with_its_line(folder, section, line, message):
    text = f"{IMAGES}{section}\n"
    ((found, words),) = complaints(folder, text)
    assert found == line_of(text, line)
    assert message in words
