"""Vault's transit engine over real HTTP: what it refuses, what it loses, and what it lies about."""

from __future__ import annotations

import base64
import os
import time

import pytest
import vault_server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.custody import sealing
from hauberk.custody.keys import AES_256, ECDSA_P256, ED25519, open_keys

SECRET = bytes(32)


@pytest.fixture
def service(vault, vault_uri):
    service = open_keys(vault_uri)
    service.create("data", AES_256)
    service.create("signing", ED25519)
    vault.requests.clear()
    return service


def test_vault_is_told_a_digest_of_the_context_and_not_the_context(service, vault):
    service.wrap("data", SECRET, b"patients of ward 7")
    method, path, body = vault.requests[-1]
    assert (method, path) == ("POST", "/v1/transit/encrypt/data")
    said = base64.b64decode(body["associated_data"])
    assert len(said) == 64
    assert b"ward" not in said


def test_a_key_with_derivation_gets_its_context(vault, vault_uri):
    vault.keys["derived"] = vault_server.Key("aes256-gcm96", derived=True)
    service = open_keys(vault_uri)
    wrapped = service.wrap("derived", SECRET, b"x")
    assert service.unwrap("derived", wrapped, b"x") == SECRET
    with pytest.raises(NotProven):
        service.unwrap("derived", wrapped, b"y")


def test_a_prefix_keeps_projects_apart_in_one_mount(vault, vault_uri):
    one, two = (open_keys(f"{vault_uri}&prefix={name}-") for name in ("one", "two"))
    one.create("data", AES_256)
    assert list(vault.keys) == ["one-data"]
    assert (dict(one.names()), dict(two.names())) == ({"data": AES_256}, {})
    with pytest.raises(InvalidInput, match="no key is named"):
        two.wrap("data", SECRET, b"")
    assert list(vault.keys) == ["one-data"]  # Vault itself would have made the second


def test_keys_of_other_types_are_passed_over(service, vault):
    vault.keys["rsa"] = vault_server.Key("rsa-2048")
    assert dict(service.names()) == {"data": AES_256, "signing": ED25519}


FAULTS = pytest.mark.parametrize(
    "fault",
    [
        (lambda vault: vault.denied.add("decrypt"), InvalidInput, r"denies transit/decrypt/data.*VAULT_TOKEN"),
        (lambda vault: setattr(vault, "sealed", True), Unavailable, "sealed or in standby"),
        (lambda vault: vault.failures.extend([500] * 20), Unavailable, "status 500"),
        (lambda vault: vault.failures.extend([429] * 20), Unavailable, "status 429"),
        (lambda vault: setattr(vault, "mount", "other"), InvalidInput, "Is the mount right"),
        (lambda vault: setattr(vault.keys["data"], "min_decryption", 2), InvalidInput, "min_decryption_version"),
        (lambda vault: vault.keys["data"].versions.update({1: os.urandom(32)}), NotProven, "does not open"),
        (lambda vault: vault.keys.pop("data"), InvalidInput, "no key is named 'data'"),
        (lambda vault: vault.go(), Unavailable, r"cannot be reached|did not answer"),
    ],
)


@FAULTS
def test_each_failure_says_who_has_to_do_what(service, vault, tmp_path, fault):
    break_it, kind, message = fault
    (tmp_path / "plain").write_bytes(b"x" * 100)
    sealing.seal_file(tmp_path / "plain", tmp_path / "sealed", service, "data")
    before = (tmp_path / "sealed").read_bytes()
    if "min_decryption" in message:
        service.rotate("data")
    service._transit.https._pause = lambda _seconds: None
    break_it(vault)
    with pytest.raises(kind, match=message):
        sealing.unseal_file(tmp_path / "sealed", tmp_path / "opened", service)
    with pytest.raises((kind, InvalidInput)):
        sealing.rewrap(tmp_path / "sealed", service, "data")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "sealed"]
    assert (tmp_path / "sealed").read_bytes() == before


def test_a_moment_of_trouble_is_sat_out(service, vault):
    vault.failures = [503, 500]
    assert service.names()
    wrapped = service.wrap("data", SECRET, b"")
    vault.failures = [429]
    assert service.unwrap("data", wrapped, b"") == SECRET


def test_a_rotation_is_never_sent_twice(service, vault):
    vault.failures = []
    vault.requests.clear()
    real = vault.routed

    def after_the_fact(*arguments):
        data = real(*arguments)
        if arguments[1].endswith("/rotate"):
            raise vault_server.Fail(500, "the answer was lost")
        return data

    vault.routed = after_the_fact
    with pytest.raises(Unavailable):
        service.rotate("data")
    assert vault.keys["data"].latest == 2


def test_a_server_that_does_not_answer_is_given_up(vault, vault_uri):
    service = open_keys(vault_uri.replace("timeout=2", "timeout=0.2"))
    service._transit.https._pause = lambda _seconds: None
    vault.delay = 1.0
    start = time.monotonic()
    with pytest.raises(Unavailable, match=r"did not answer within 0\.2 s"):
        service.names()
    assert time.monotonic() - start < 3


def test_a_server_that_drips_is_given_up(vault, vault_uri):
    service = open_keys(vault_uri.replace("timeout=2", "timeout=0.2"))
    service._transit.https._pause = lambda _seconds: None
    open_keys(vault_uri).create("data", AES_256)
    vault.drip = 0.05
    with pytest.raises(Unavailable, match="answers without end"):
        service.names()


@pytest.mark.parametrize(
    "lie",
    [
        {"plaintext": base64.b64encode(bytes(32)).decode()},
        {"plaintext": base64.b64encode(os.urandom(64)).decode()},
        {"plaintext": ""},
    ],
)
def test_a_wrong_plaintext_is_not_believed_and_nothing_is_moved(service, vault, tmp_path, lie):
    (tmp_path / "plain").write_bytes(b"x" * 100)
    sealing.seal_file(tmp_path / "plain", tmp_path / "sealed", service, "data")
    before = (tmp_path / "sealed").read_bytes()
    vault.lie = lambda parts, data: lie if parts[0] == "decrypt" else data
    for call in (
        lambda: sealing.unseal_file(tmp_path / "sealed", tmp_path / "opened", service),
        lambda: sealing.rewrap(tmp_path / "sealed", service, "data"),
        lambda: sealing.seal_file(tmp_path / "plain", tmp_path / "again", service, "data"),
    ):
        with pytest.raises(NotProven):
            call()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "sealed"]
    assert (tmp_path / "sealed").read_bytes() == before


def test_the_plaintext_of_another_request_is_not_believed(service, vault):
    first, second = service.wrap("data", os.urandom(32), b"one"), service.wrap("data", os.urandom(32), b"two")
    answers = {}
    vault.lie = lambda parts, data: answers.setdefault("kept", data) if parts[0] == "decrypt" else data
    service.unwrap("data", first, b"one")
    with pytest.raises(NotProven, match="something else than was wrapped"):
        service.unwrap("data", second, b"two")


@pytest.mark.parametrize(
    "answer", [{"ciphertext": "vault:v0:x"}, {"ciphertext": None}, {}, {"ciphertext": "v1:AAAA"}]
)
def test_a_server_that_is_no_transit_engine_is_noticed_before_a_file_is_written(service, vault, tmp_path, answer):
    (tmp_path / "plain").write_bytes(b"x")
    vault.lie = lambda parts, data: answer if parts[0] == "encrypt" else data
    with pytest.raises(Unavailable, match="ciphertext"):
        sealing.seal_file(tmp_path / "plain", tmp_path / "sealed", service, "data")
    assert not (tmp_path / "sealed").exists()


@pytest.mark.parametrize("algorithm", [ED25519, ECDSA_P256])
def test_a_signature_of_another_key_is_not_passed_on(service, vault, algorithm):
    service.create("one", algorithm)
    signer = service.signer("one")
    vault.keys["one"].versions[1] = vault_server.Key(vault.keys["one"].kind).versions[1]
    with pytest.raises(NotProven, match="does not hold"):
        signer.sign(b"message")
    vault.lie = lambda parts, data: {"signature": "vault:v1:!!!"} if parts[0] == "sign" else data
    with pytest.raises(NotProven):
        signer.sign(b"message")


def test_a_public_key_of_another_kind_is_not_believed(service, vault):
    other = vault_server.Key("ecdsa-p256").about("x")["keys"]["1"]
    vault.lie = lambda _parts, data: data | {"keys": {"1": other}, "type": "ed25519"}
    with pytest.raises(Unavailable, match="no usable public key"):
        service.publics("signing")


def test_deletion_is_the_operators_to_allow(service, vault):
    with pytest.raises(InvalidInput, match="vault write transit/keys/data/config deletion_allowed=true"):
        service.destroy("data")
    assert "data" in vault.keys


def test_a_key_that_is_still_there_after_its_deletion_is_said_so(service, vault):
    vault.keys["data"].deletable = True
    vault._delete_keys = lambda _rest, _body: None
    with pytest.raises(Unavailable, match="still has"):
        service.destroy("data")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("vault:transit", "Write vault://"),
        ("vault://host", "transit mount"),
        ("vault:///transit", "names a server"),
        ("vault://user:secret@host/transit", "no user and no password"),
        ("vault://host:99999/transit", "not a port"),
        ("vault://host/transit?tls=off", "for this machine only"),
        ("vault://host/transit?tls=on", "tls=off or nothing"),
        ("vault://host/transit?minimum_tls=1.1", "1.2 or 1.3"),
        ("vault://host/transit?token=hvs.x", "unknown option 'token'"),
        ("vault://host/transit?timeout=ever", "from 0.1 to 300"),
        ("vault://host/transit?prefix=a/b", "prefix"),
        ("vault://host/transit?cacert=/nowhere.pem", "no authorities"),
        ("vault://host/../sys", "transit mount"),
    ],
)
def test_a_uri_that_does_not_fit_is_refused_before_anything_is_sent(monkeypatch, uri, message):
    monkeypatch.setenv("VAULT_TOKEN", "hvs.x")
    with pytest.raises(InvalidInput, match=message) as caught:
        open_keys(uri)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["../../sys/seal", "..", ".", "a/../b", "data/../signing", "%2e%2e", "data?x", ""])
def test_a_name_cannot_leave_the_mount(service, vault, name):
    for call in (service.ids, service.signer, service.destroy, lambda name: service.wrap(name, SECRET, b"")):
        with pytest.raises(InvalidInput, match="no key is named"):
            call(name)
    assert {path.split("/")[3] for _, path, _ in vault.requests} <= {"keys"}
    assert not [path for _, path, _ in vault.requests if ".." in path]


def test_the_token_comes_from_its_places_and_its_file_is_the_owners_alone(vault_uri, vault, tmp_path, monkeypatch):
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InvalidInput, match="Vault needs a token"):
        open_keys(vault_uri)
    file = tmp_path / ".vault-token"
    file.write_text(f"{vault_server.TOKEN}\n")
    file.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        open_keys(vault_uri)
    file.chmod(0o600)
    assert dict(open_keys(vault_uri).names()) == {}
    other = tmp_path / "other"
    other.write_text("hvs.wrong")
    other.chmod(0o600)
    monkeypatch.setenv("VAULT_TOKEN_FILE", str(other))
    with pytest.raises(InvalidInput, match="denies") as caught:
        open_keys(vault_uri).names()
    assert "hvs." not in str(caught.value)
    monkeypatch.setenv("VAULT_TOKEN", "two\nlines")
    with pytest.raises(InvalidInput, match="holds no Vault token") as caught:
        open_keys(vault_uri)
    assert "two" not in str(caught.value)
    assert vault.keys == {}


def test_a_connection_is_kept_and_made_again_when_the_server_closed_it(service, vault):
    wrapped = service.wrap("data", SECRET, b"")
    for _ in range(3):
        service.unwrap("data", wrapped, b"")
    assert len(vault.connections) == 1
    vault.cut()
    assert service.unwrap("data", wrapped, b"") == SECRET
    assert len(vault.connections) == 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.text(max_size=8)
    | st.sampled_from(["aes256-gcm96", "ed25519"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "keys",
                    "latest_version",
                    "public_key",
                    "1",
                    "x",
                    "plaintext",
                    "ciphertext",
                    "signature",
                    "derived",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lie=JSON, status=st.sampled_from([200, 200, 200, 204, 400, 404, 418]))
def test_whatever_a_server_answers_is_an_error_of_ours_or_holds(service, vault, lie, status):
    honest = vault.serve
    wrapped = service.wrap("data", SECRET, b"")
    vault.serve = lambda *_request: (status, {"data": lie, "errors": lie} if status != 204 else None)
    try:
        for call in (
            service.names,
            lambda: service.wrap("data", SECRET, b""),
            lambda: service.ids("data"),
            lambda: service.signer("signing").sign(b"x"),
            lambda: service.create("new", AES_256),
        ):
            try:
                call()
            except HauberkError:
                continue
        with pytest.raises(HauberkError):
            service.unwrap("data", wrapped, b"")
    finally:
        vault.serve = honest
