"""in-toto statements: the specification's examples, SLSA's predicates, and what is refused."""

import itertools
import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.core.evidence import Subject
from hauberk.custody import dsse, statements
from hauberk.custody.gate import Exhibit, Rule, evaluate
from hauberk.custody.keys._versions import SigningVersion
from hauberk.custody.statements import Statement

A, B = "a" * 64, "0123456789abcdef" * 4
STATEMENT_V1 = "https://in-toto.io/Statement/v1"


def signer(seed=1):
    return SigningVersion(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def statement(**changes):
    fields = {"subjects": (Subject("model.onnx", A),), "predicate_type": statements.EVIDENCE, "predicate": {"a": 1}}
    return Statement(**(fields | changes))


def written(**changes):
    value = json.loads(statement().to_bytes()) | changes
    return json.dumps({name: item for name, item in value.items() if item is not ...}).encode()


# Published vectors


def test_the_specifications_examples_parse_where_they_are_whole(vectors):
    parsed, refused = set(), {}
    for path in sorted((vectors / "in-toto/examples").glob("*.json")):
        value = json.loads(path.read_text())
        if value.get("_type") != STATEMENT_V1:
            with pytest.raises(InvalidInput, match="not an in-toto statement"):
                statements.parse(path.read_bytes())
            continue
        try:
            found = statements.parse(path.read_bytes())
        except InvalidInput as error:
            refused[path.name] = str(error)
        else:
            parsed.add(path.name)
            assert [(s.name, s.sha256) for s in found.subjects] == [
                (s["name"], s["digest"]["sha256"]) for s in value["subject"]
            ]
            assert (found.predicate_type, found.predicate) == (value["predicateType"], value["predicate"])
    assert parsed == {"predicate-reference.1.json", "predicate-reference.2.json"}
    # The rest elide their digests ("4faeb1b2...") or give none of SHA-256, and nothing else is held against them.
    assert len(refused) == 11
    assert all(re.search("sha256 must be 64|has no sha256", reason) for reason in refused.values())


def test_slsas_provenance_is_carried_as_a_predicate_and_its_builder_and_inputs_are_read(either):
    predicate = json.loads((either / "in-toto/slsa/slsa_predicate_v1_0.json").read_text())
    found = statements.parse(statement(predicate_type=statements.PROVENANCE, predicate=predicate).to_bytes())
    assert found.predicate == predicate
    ours = statements.provenance(
        build_type=predicate["buildDefinition"]["buildType"],
        builder=predicate["runDetails"]["builder"]["id"],
        external=predicate["buildDefinition"]["externalParameters"],
        internal=predicate["buildDefinition"]["internalParameters"],
        dependencies=(Subject("data.parquet", B),),
        invocation=predicate["runDetails"]["metadata"]["invocationId"],
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:01:00Z",
    )
    dependencies = ours["buildDefinition"].pop("resolvedDependencies")
    assert dependencies == [{"name": "data.parquet", "digest": {"sha256": B}}]
    assert ours["runDetails"]["metadata"].pop("startedOn") < ours["runDetails"]["metadata"].pop("finishedOn")
    del predicate["buildDefinition"]["resolvedDependencies"]
    assert ours == predicate


def names_in(proto, message):
    """JSON names of a message's own fields: `json_name`, else lowerCamelCase."""
    body = re.sub(r"//[^\n]*", "", proto)
    body = body[body.index(f"message {message} {{") :]
    depths = itertools.accumulate({"{": 1, "}": -1}.get(letter, 0) for letter in body)
    end = next(place for place, depth in enumerate(depths) if body[place] == "}" and depth == 0)
    body = body[body.index("{") + 1 : end]
    while (inner := re.sub(r"message \w+ \{[^{}]*\}", "", body)) != body:
        body = inner
    fields = re.findall(r"(\w+) = \d+(?: \[json_name = \"(\w+)\"\])?;", body)
    return {given or re.sub(r"_(\w)", lambda m: m[1].upper(), name) for name, given in fields}


def test_our_summary_has_the_fields_of_slsas_message_and_one_extension(either):
    folder = either / "in-toto/protos/in_toto_attestation/predicates/vsa/v1"
    known = names_in((folder / "vsa.proto").read_text(), "VerificationSummary")
    ours = set(summary())
    assert known - ours == {"dependencyLevels", "slsaVersion"}  # both optional
    assert ours - known == {statements.RULINGS}


def test_our_provenance_has_fields_of_slsas_messages_only(either):
    folder = either / "in-toto/protos/in_toto_attestation/predicates/provenance/v1"
    proto = (folder / "provenance.proto").read_text()
    ours = statements.provenance(
        build_type="https://hauberk.dev/training/v1",
        builder="https://hauberk.dev/local",
        external={},
        internal={},
        dependencies=(),
        invocation="run",
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:01:00Z",
        versions={"hauberk": "0.1.0"},
    )
    assert set(ours) == names_in(proto, "Provenance")
    assert set(ours["buildDefinition"]) == names_in(proto, "BuildDefinition")
    assert set(ours["runDetails"]) <= names_in(proto, "RunDetails")
    assert set(ours["runDetails"]["builder"]) <= names_in(proto, "Builder")
    assert set(ours["runDetails"]["metadata"]) <= names_in(proto, "BuildMetadata")


# Writing and reading


def test_a_golden_statement_does_not_drift():
    assert statement().to_bytes() == (
        b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"a":1},'
        b'"predicateType":"https://hauberk.dev/evidence/v2",'
        b'"subject":[{"digest":{"sha256":"' + A.encode() + b'"},"name":"model.onnx"}]}'
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_what_was_attested_is_what_is_opened(predicate):
    data = statements.attest(statement(predicate=predicate), signer())
    found = statements.open_attestation(data, (signer().public,), what="attestation")
    assert found == statement(predicate=predicate)
    assert dsse.decode(data, what="attestation").payload == statement(predicate=predicate).to_bytes()


def test_fields_that_the_specification_does_not_name_are_passed_over():
    subject = {"name": "a", "digest": {"sha256": A, "sha512": "f" * 128}, "uri": "file:a", "annotations": {"x": 1}}
    found = statements.parse(written(subject=[subject], later=1))
    assert found.subjects == (Subject("a", A),)


def test_a_missing_predicate_is_an_empty_one_and_a_nameless_subject_stays_nameless():
    for absent in (..., None, {}):
        assert statements.parse(written(predicate=absent)).predicate == {}
    found = statements.parse(written(subject=[{"digest": {"sha256": A}}, {"name": "", "digest": {"sha256": B}}]))
    assert [s.name for s in found.subjects] == ["_", "_"]


@pytest.mark.parametrize(
    "changes",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"_type": "https://in-toto.io/Statement/v1.1"},
        {"_type": ...},
        {"_type": ["https://in-toto.io/Statement/v1"]},
        {"subject": ...},
        {"subject": []},
        {"subject": {}},
        {"subject": ["x"]},
        {"subject": [{"name": "a"}]},
        {"subject": [{"name": "a", "digest": {}}]},
        {"subject": [{"name": "a", "digest": A}]},
        {"subject": [{"name": "a", "digest": {"sha1": "a" * 40}}]},
        {"subject": [{"name": "a", "digest": {"sha256": A.upper()}}]},
        {"subject": [{"name": "a", "digest": {"sha256": A[:-1]}}]},
        {"subject": [{"name": "a", "digest": {"sha256": A + "\n"}}]},
        {"subject": [{"name": "a", "digest": {"sha256": 7}}]},
        {"subject": [{"name": 7, "digest": {"sha256": A}}]},
        {"subject": [{"name": "a", "digest": {"sha256": A}}, {"name": "a", "digest": {"sha256": B}}]},
        {"predicateType": ...},
        {"predicateType": ""},
        {"predicateType": "evidence"},
        {"predicateType": "https://x y"},
        {"predicateType": 1},
        {"predicate": []},
        {"predicate": "x"},
        {"predicate": False},
    ],
)
def test_what_is_no_statement_is_refused(changes):
    with pytest.raises(InvalidInput):
        statements.parse(written(**changes))


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"\xff", b'{"_type":"a","_type":"b"}', b"{" * 100_000])
def test_what_is_no_strict_json_is_refused(payload):
    with pytest.raises(InvalidInput):
        statements.parse(payload)


def test_a_statement_that_could_not_be_read_again_cannot_be_made():
    for changes in (
        {"subjects": ()},
        {"subjects": (Subject("a", "A" * 64),)},
        {"subjects": (Subject("a", A), Subject("a", B))},
        {"predicate_type": "evidence"},
    ):
        with pytest.raises(InvalidInput):
            statement(**changes)
    for value in (float("nan"), 2**60, object()):
        with pytest.raises(InvalidInput):
            statement(predicate={"a": value}).to_bytes()


# Opening


def test_a_strangers_statement_is_refused_naming_the_file():
    data = statements.attest(statement(), signer(2))
    with pytest.raises(NotProven, match=r"evidence\.json"):
        statements.open_attestation(data, (signer(1).public,), what="evidence.json")


def test_a_signature_made_for_another_protocol_is_refused():
    data = dsse.sign(statement().to_bytes(), "application/vnd.other+json", [signer()])
    with pytest.raises(NotProven, match="other"):
        statements.open_attestation(data, (signer().public,), what="attestation")


def test_the_signature_is_checked_before_the_payload_is_read():
    data = dsse.sign(b"not JSON at all", statements.PAYLOAD_TYPE, [signer(2)])
    with pytest.raises(NotProven):
        statements.open_attestation(data, (signer(1).public,), what="attestation")
    with pytest.raises(InvalidInput, match="attestation"):
        statements.open_attestation(data, (signer(2).public,), what="attestation")


def test_the_payload_is_kept_as_it_was_signed_even_when_we_would_have_written_it_otherwise():
    payload = json.dumps(json.loads(statement().to_bytes()), indent=3).encode()
    data = dsse.sign(payload, statements.PAYLOAD_TYPE, [signer()])
    assert statements.open_attestation(data, (signer().public,), what="attestation") == statement()
    assert dsse.decode(data, what="attestation").payload == payload


# The gate's verdict


def summary(**changes):
    fields = {
        "verifier": "https://hauberk.dev/gate/v1",
        "verified": "2026-01-01T00:00:00Z",
        "resource": "hauberk:digits",
        "policy": "hauberk:digits/hauberk.toml#gate",
        "policy_sha256": B,
        "inputs": (A,),
        "passed": True,
        "rulings": (),
    }
    return statements.summary(**(fields | changes))


def test_a_verdict_goes_into_a_summary_and_comes_back_rule_by_rule():
    rules = [Rule.parse("robust_accuracy", ">= 0.60"), Rule.parse("missing", "< 1")]
    exhibit = Exhibit(A, frozenset({B}), {"role": "hardened", "metrics": {"robust_accuracy": 0.71}})
    verdict = evaluate(rules, [exhibit], about={"hardened": B}, released="hardened")
    rulings = [ruling.to_json() for ruling in verdict.rulings]
    predicate = summary(passed=verdict.allowed, rulings=rulings)
    data = statements.attest(statement(predicate_type=statements.VSA, predicate=predicate), signer())
    found = statements.open_attestation(data, (signer().public,), what="verdict").predicate
    assert statements.rulings_of(found) == rulings
    assert found["verificationResult"] == "FAILED"
    assert found["inputAttestations"] == [{"digest": {"sha256": A}}]


def test_passed_and_failed_are_said_as_slsa_says_them_and_no_level_is_claimed():
    assert (summary()["verificationResult"], summary()["verifiedLevels"]) == ("PASSED", [])
    failed = summary(passed=False)
    assert (failed["verificationResult"], failed["verifiedLevels"]) == ("FAILED", ["FAILED"])


@pytest.mark.parametrize("rulings", [None, {}, "x", ["x"], [{}, 1]])
def test_rulings_in_another_form_are_refused(rulings):
    with pytest.raises(InvalidInput, match="rulings"):
        statements.rulings_of({statements.RULINGS: rulings})
    with pytest.raises(InvalidInput, match="rulings"):
        statements.rulings_of({})
