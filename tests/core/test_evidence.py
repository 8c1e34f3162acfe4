from __future__ import annotations

import dataclasses

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Evidence
from hauberk.core.principal import Principal


@pytest.fixture
def evidence() -> Evidence:
    values = {field.name: () for field in dataclasses.fields(Evidence)}
    return Evidence(**values | {"practice": "1a", "role": "data", "by": Principal("ana")})


@pytest.mark.parametrize("practice", ["1A", ""])
def test_evidence_names_a_listed_practice(evidence, practice):
    with pytest.raises(InvalidInput, match=f"no practice '{practice}'"):
        dataclasses.replace(evidence, practice=practice)


def test_evidence_names_a_listed_role(evidence):
    with pytest.raises(InvalidInput, match="no role 'planned' in evidence; known: data"):
        dataclasses.replace(evidence, role="planned")
