"""DSSE envelopes: the protocol's own vector, Sigstore's envelopes, strict reading, tampering."""

import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from hypothesis import given
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody import dsse
from hauberk.custody.dsse import Envelope, Signature
from hauberk.custody.keys._versions import SigningVersion
from hauberk.custody.keys.port import PublicKey

DER = serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
TYPE = "application/vnd.in-toto+json"


def signer(seed=1):
    return SigningVersion(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


# Published vectors


def test_the_protocols_own_vector(either):
    vector = json.loads((either / "dsse/protocol/vector.json").read_text())
    payload = vector["serialized_body"].encode()
    assert dsse.pae(vector["payload_type"], payload) == vector["pae"].encode()

    key = PublicKey.from_pem((either / "dsse/protocol/public-key.pem").read_bytes())
    envelope = dsse.decode((either / "dsse/protocol/envelope.json").read_bytes(), what="envelope.json")
    assert dsse.verify(envelope, (key,)) == key
    assert (envelope.payload, envelope.payload_type) == (payload, vector["payload_type"])
    with pytest.raises(NotProven):
        dsse.verify(Envelope(b"hello worle", envelope.payload_type, envelope.signatures), (key,))

    # The vector is deterministic (RFC 6979) and tells its private key: we write the same r and s.
    private = SigningVersion(ec.derive_private_key(int(vector["key"]["d"]), ec.SECP256R1()))
    assert private.public == key
    ours = dsse.decode(dsse.sign(payload, vector["payload_type"], [private]), what="ours")
    raw = envelope.signatures[0].sig
    expected = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    assert utils.decode_dss_signature(ours.signatures[0].sig) == expected


def sigstore_cases(vectors):
    for path in sorted((vectors / "dsse/sigstore-bundles").glob("*/bundle.sigstore.json")):
        try:
            bundle = json.loads(path.read_text())
        except ValueError:
            continue
        if "dsseEnvelope" in bundle:
            material = bundle["verificationMaterial"]
            if "certificate" in material:
                der = material["certificate"]["rawBytes"]
            else:
                der = material["x509CertificateChain"]["certificates"][0]["rawBytes"]
            key = x509.load_der_x509_certificate(base64.b64decode(der)).public_key()
            yield path.parent.name, json.dumps(bundle["dsseEnvelope"]).encode(), key.public_bytes(DER, SPKI)


def test_sigstores_envelopes_hold_under_their_certificates_key(vectors):
    found = {}
    for name, data, spki in sigstore_cases(vectors):
        key = PublicKey.from_spki(spki)
        try:
            found[name] = dsse.verify(dsse.decode(data, what=name), (key,)) == key
        except NotProven:
            found[name] = False
    assert len(found) == 14
    # The other cases named _fail are wrong above this layer: log entry, certificate or time.
    assert {name for name, holds in found.items() if not holds} == {
        "dsse-invalid-sig_fail",
        "rekor2-dsse-invalid-sig_fail",
    }


# What is signed


def test_pae_by_its_definition():
    assert dsse.pae("", b"") == b"DSSEv1 0  0 "
    assert dsse.pae("é", b"\0\xff") == b"DSSEv1 2 \xc3\xa9 2 \0\xff"


@given(st.tuples(st.text(), st.binary()), st.tuples(st.text(), st.binary()))
def test_no_two_pairs_of_type_and_payload_have_one_encoding(one, two):
    assert (dsse.pae(*one) == dsse.pae(*two)) == (one == two)


@given(st.binary(max_size=200), st.text(min_size=1, max_size=40))
def test_the_signed_bytes_come_back_exactly(payload, payload_type):
    data = dsse.sign(payload, payload_type, [signer()])
    envelope = dsse.decode(data, what="envelope")
    assert (envelope.payload, envelope.payload_type) == (payload, payload_type)
    assert dsse.verify(envelope, (signer().public,)) == signer().public
    assert dsse.is_canonical(data)


def test_a_golden_envelope_does_not_drift():
    assert dsse.sign(b"hello world", "text/plain", [signer()]) == GOLDEN.encode()


# Verification


def test_another_payload_type_or_key_is_refused():
    envelope = dsse.decode(dsse.sign(b"payload", TYPE, [signer()]), what="envelope")
    for changed, keys in (
        (Envelope(b"payloae", TYPE, envelope.signatures), (signer().public,)),
        (Envelope(b"payload", "text/plain", envelope.signatures), (signer().public,)),
        (envelope, (signer(2).public,)),
        (envelope, ()),
    ):
        with pytest.raises(NotProven):
            dsse.verify(changed, keys)


def test_the_refusal_names_the_expected_and_the_claimed_keys():
    envelope = dsse.decode(dsse.sign(b"payload", TYPE, [signer()]), what="envelope")
    with pytest.raises(NotProven) as caught:
        dsse.verify(envelope, (signer(2).public,))
    assert signer(2).public.key_id in str(caught.value)
    assert signer(1).public.key_id in str(caught.value)


def test_a_keyid_is_never_believed():
    good = dsse.decode(dsse.sign(b"payload", TYPE, [signer()]), what="envelope").signatures[0].sig
    bad = signer(2).sign(dsse.pae(TYPE, b"payload"))
    # A stranger's signature under our key's name is refused; ours under a stranger's name, or none, holds.
    with pytest.raises(NotProven):
        dsse.verify(Envelope(b"payload", TYPE, (Signature(signer().public.key_id, bad),)), (signer().public,))
    for keyid in (signer(2).public.key_id, ""):
        envelope = Envelope(b"payload", TYPE, (Signature(keyid, good),))
        assert dsse.verify(envelope, (signer(2).public, signer().public)) == signer().public


def test_one_good_signature_among_bad_ones_is_found():
    message = dsse.pae(TYPE, b"payload")
    bad = [Signature("x", sig) for sig in (b"", b"\0" * 64, signer(3).sign(message))]
    envelope = Envelope(b"payload", TYPE, (*bad, Signature("y", signer(2).sign(message))))
    assert dsse.verify(envelope, (signer().public, signer(2).public)) == signer(2).public


def test_two_signers_are_two_signatures():
    data = dsse.sign(b"payload", TYPE, [signer(1), signer(2)])
    envelope = dsse.decode(data, what="envelope")
    assert [s.keyid for s in envelope.signatures] == [signer(1).public.key_id, signer(2).public.key_id]
    for seed in (1, 2):
        assert dsse.verify(envelope, (signer(seed).public,)) == signer(seed).public


# Reading


def test_flipping_any_bit_of_an_envelope_is_refused_with_its_keyid_compared():
    data = dsse.sign(b'{"a":1}', TYPE, [signer()])
    public = signer().public
    for place in range(len(data)):
        for bit in range(8):
            changed = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            try:
                envelope = dsse.decode(changed, what="envelope")
                dsse.verify(envelope, (public,))
            except (InvalidInput, NotProven):
                continue
            assert envelope.signatures[0].keyid != public.key_id or not dsse.is_canonical(changed), (place, bit)


def rewritten(**fields):
    value = json.loads(dsse.sign(b"\xfb\xff\xfe", TYPE, [signer()]))
    return value | fields


def test_the_url_safe_alphabet_is_read_but_is_not_canonical():
    value = rewritten()
    assert "+" in value["payload"] or "/" in value["payload"]
    value["payload"] = value["payload"].replace("+", "-").replace("/", "_")
    data = json.dumps(value, separators=(",", ":")).encode()
    assert dsse.verify(dsse.decode(data, what="envelope"), (signer().public,))
    assert not dsse.is_canonical(data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data + b"\n",
        lambda data: b" " + data,
        lambda data: data.replace(b'":', b'": ', 1),
        lambda data: data.replace(b"payload", rb"pay\u006coad", 1),
        lambda data: json.dumps(dict(reversed(json.loads(data).items())), separators=(",", ":")).encode(),
        lambda data: data[:-1],
    ],
)
def test_the_same_envelope_in_other_bytes_is_not_canonical(spoil):
    data = dsse.sign(b"payload", TYPE, [signer()])
    assert dsse.is_canonical(data)
    assert not dsse.is_canonical(spoil(data))


SIG = base64.b64encode(b"s" * 64).decode()


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {},
        {"payload": "AA==", "payloadType": "t"},
        rewritten(extra=1),
        rewritten(payloadType=""),
        rewritten(payloadType=None),
        rewritten(payloadType=7),
        rewritten(payloadType="\ud800"),
        rewritten(payload=None),
        rewritten(payload=["AA=="]),
        rewritten(payload="A"),
        rewritten(payload="AA"),
        rewritten(payload="AB=="),  # unused bits that are not zero
        rewritten(payload="AA==\n"),
        rewritten(payload="A A="),
        rewritten(payload="+_8="),  # two alphabets in one
        rewritten(payload="é==="),
        rewritten(signatures=[]),
        rewritten(signatures={}),
        rewritten(signatures=None),
        rewritten(signatures=[{}]),
        rewritten(signatures=["x"]),
        rewritten(signatures=[{"keyid": "x"}]),
        rewritten(signatures=[{"sig": SIG, "cert": "x"}]),
        rewritten(signatures=[{"sig": SIG, "keyid": 1}]),
        rewritten(signatures=[{"sig": SIG, "keyid": None}]),
        rewritten(signatures=[{"sig": 1}]),
        rewritten(signatures=[{"sig": SIG}] * 65),
    ],
)
def test_what_is_no_envelope_is_refused_naming_the_file(value):
    with pytest.raises(InvalidInput, match=r"some\.json"):
        dsse.decode(json.dumps(value).encode(), what="some.json")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{",
        b"[" * 100_000,
        b'{"payload":"","payload":"AA==","payloadType":"t","signatures":[{"sig":""}]}',
        b'{"payload":NaN,"payloadType":"t","signatures":[{"sig":""}]}',
    ],
)
def test_what_is_no_strict_json_is_refused(data):
    with pytest.raises(InvalidInput, match=r"some\.json"):
        dsse.decode(data, what="some.json")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["payload", "payloadType", "signatures", "sig", "keyid", "x"]), inner)
        ),
    )
)
def test_no_json_value_raises_anything_else(value):
    try:
        dsse.decode(json.dumps(value).encode(), what="envelope")
    except InvalidInput:
        return


def test_signing_needs_a_type_and_a_signer():
    with pytest.raises(InvalidInput, match="payload type"):
        dsse.sign(b"payload", "", [signer()])
    with pytest.raises(InvalidInput, match="1 to 64"):
        dsse.sign(b"payload", TYPE, [])


def test_ecdsa_envelopes_hold_with_either_encoding_of_the_signature():
    private = SigningVersion(ec.derive_private_key(7, ec.SECP256R1()))
    envelope = dsse.decode(dsse.sign(b"payload", TYPE, [private]), what="envelope")
    r, s = utils.decode_dss_signature(envelope.signatures[0].sig)
    raw = Signature("", r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    for signatures in (envelope.signatures, (raw,)):
        assert dsse.verify(Envelope(b"payload", TYPE, signatures), (private.public,)) == private.public


def test_the_digest_is_sha_256():
    private = ec.derive_private_key(7, ec.SECP256R1())
    public = SigningVersion(private).public
    sig = private.sign(dsse.pae(TYPE, b"payload"), ec.ECDSA(hashes.SHA512()))
    with pytest.raises(NotProven):
        dsse.verify(Envelope(b"payload", TYPE, (Signature("", sig),)), (public,))


GOLDEN = (
    '{"payload":"aGVsbG8gd29ybGQ=","payloadType":"text/plain","signatures":[{"keyid":"fd110d301d2f07'
    '7de1414b8f99f441b1403fab207b2052fbd2c065e4ee8e7dc2","sig":"EW0jjXyKLIwym2rTGLOMLIwDMSZ8p0I9Lc8C'
    '1BnQgNs6WKM0XTunGotM8G5q8OzdLHijgiDaxVOQeuz7/pIlCg=="}]}'
)
