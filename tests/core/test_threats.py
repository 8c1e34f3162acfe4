from __future__ import annotations

import math

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.core.threats import KINDS, ColumnBudget, Evasion, Extraction, Inference, Norm, Poisoning


@pytest.mark.parametrize("eps", [0, -0.1, math.nan, math.inf, 1, 8])
def test_an_impossible_radius_is_refused(eps):
    with pytest.raises(InvalidInput, match="eps"):
        Evasion(norm=Norm.LINF, eps=eps)


def test_a_budget_is_either_a_ball_or_columns():
    with pytest.raises(InvalidInput, match="either"):
        Evasion()
    with pytest.raises(InvalidInput, match="either"):
        Evasion(norm=Norm.L2, eps=1, columns=(ColumnBudget("a", by=1),))


def test_a_column_is_declared_once():
    with pytest.raises(InvalidInput, match="'a' is declared twice"):
        Evasion(columns=(ColumnBudget("a", by=1), ColumnBudget("a", by=2)))


@pytest.mark.parametrize("values", [{"by": -1}, {"by": math.nan}, {"cost": -1}, {"cost": math.inf}])
def test_a_column_budget_is_finite_and_not_negative(values):
    with pytest.raises(InvalidInput, match="column 'a'"):
        ColumnBudget("a", **values)


def test_half_of_the_rows_is_no_poisoning_threat_that_can_be_answered():
    with pytest.raises(InvalidInput, match=r"below 0\.5"):
        Poisoning(share=0.5)
    assert Poisoning(share=0.1).share == 0.1


def test_the_other_threats_refuse_what_is_impossible():
    with pytest.raises(InvalidInput):
        Extraction(queries=0)
    with pytest.raises(InvalidInput):
        Inference(advantage=1.5)


def test_every_kind_names_its_atlas_techniques():
    for kind, threat in KINDS.items():
        assert threat.kind == kind
        assert all(technique.startswith("AML.T") for technique in threat.atlas)


def test_the_atlas_ids_exist(vectors):
    catalogue = (vectors / "atlas" / "ATLAS.yaml").read_text(encoding="utf-8")
    for threat in KINDS.values():
        for technique in threat.atlas:
            assert f"id: {technique}" in catalogue
