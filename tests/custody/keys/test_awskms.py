"""AWS KMS in moto: encryption context, aliases, and each failure in our words."""

from __future__ import annotations

import os

import pytest

from hauberk.core.errors import InvalidInput, NotProven, Unavailable
from hauberk.custody import sealing
from hauberk.custody.keys import AES_256, ECDSA_P256, ED25519, open_keys

URI = "awskms://team/claims?region=eu-central-1&timeout=1"
SECRET = bytes(32)


@pytest.fixture
def service(kms):
    assert kms is not None
    service = open_keys(URI)
    service.create("data", AES_256)
    return service


@pytest.fixture
def client(kms):
    import boto3

    assert kms is not None
    return boto3.client("kms", region_name="eu-central-1")


def failing(service, operation, code, status=400):
    """Answer one operation with an error of AWS, or raise `code` when it is an exception; KMS does nothing then."""
    from botocore.exceptions import ClientError

    call = service._client._make_api_call

    def answer(name, given):
        if name != operation:
            return call(name, given)
        if isinstance(code, Exception):
            raise code
        response = {"Error": {"Code": code, "Message": "because"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(response, name)

    service._client._make_api_call = answer


def test_the_key_is_found_by_an_alias_that_others_can_read(service, client):
    aliases = {row["AliasName"]: row.get("TargetKeyId") for row in client.list_aliases()["Aliases"]}
    assert aliases["alias/team/claims/data"] == aliases["alias/team/claims/data/1"]
    service.rotate("data")
    after = {row["AliasName"]: row.get("TargetKeyId") for row in client.list_aliases()["Aliases"]}
    assert after["alias/team/claims/data"] == after["alias/team/claims/data/2"] != aliases["alias/team/claims/data"]
    assert after["alias/team/claims/data/1"] == aliases["alias/team/claims/data/1"]


def test_the_encryption_context_is_a_digest_that_kms_checks(service, client):
    from hauberk.custody.keys._wrapped import Wrapped, context

    wrapped = Wrapped.read(service.wrap("data", SECRET, b"patients of ward 7"), holder="awskms")
    said = {"hauberk": context(b"patients of ward 7")}
    assert client.decrypt(CiphertextBlob=wrapped.sealed, EncryptionContext=said)["KeyId"] == wrapped.version
    with pytest.raises(client.exceptions.InvalidCiphertextException):
        client.decrypt(CiphertextBlob=wrapped.sealed, EncryptionContext={"hauberk": context(b"another")})


def test_what_another_accounts_key_wrapped_is_not_opened(service, client):
    from hauberk.custody.keys._wrapped import Wrapped, context, guard

    theirs = client.create_key()["KeyMetadata"]["Arn"]
    made = client.encrypt(KeyId=theirs, Plaintext=guard(SECRET, b""), EncryptionContext={"hauberk": context(b"")})
    forged = Wrapped("awskms", theirs, made["CiphertextBlob"]).to_bytes()
    with pytest.raises(NotProven, match="is not a version of 'data'"):
        service.unwrap("data", forged, b"")


def test_one_key_that_somebody_else_made_is_used_by_alias_or_arn(kms, client):
    assert kms is not None
    arn = client.create_key()["KeyMetadata"]["Arn"]
    client.create_alias(AliasName="alias/Security/Claims-Data", TargetKeyId=arn)
    wrapped = {}
    for uri, name in (
        ("awskms://alias/Security/Claims-Data?region=eu-central-1", "claims-data"),
        (f"awskms://{arn}", arn.rpartition("/")[2]),
    ):
        service = open_keys(uri)
        assert dict(service.names()) == {name: AES_256}
        wrapped[name] = service.wrap(name, SECRET, b"")
        assert service.unwrap(name, wrapped[name], b"") == SECRET
        assert service.ids(name) == (arn,)
        for call in (
            lambda s=service, n=name: s.rotate(n),
            lambda s=service, n=name: s.destroy(n),
            lambda s=service: s.create("x", AES_256),
        ):
            with pytest.raises(InvalidInput, match="made elsewhere"):
                call()


def test_ed25519_signs_up_to_4096_bytes_and_says_so(service):
    service.create("log", ED25519)
    signer = service.signer("log")
    signer.public.verify(signer.sign(bytes(4096)), bytes(4096))
    with pytest.raises(InvalidInput, match=r"at most 4096 bytes.*ecdsa-p256"):
        signer.sign(bytes(4097))


def test_a_signature_of_another_key_is_not_passed_on(service):
    service.create("one", ECDSA_P256)
    service.create("two", ECDSA_P256)
    signer = service.signer("one")
    signer._key = service.ids("two")[0]
    with pytest.raises(NotProven, match="does not hold"):
        signer.sign(b"message")


@pytest.mark.parametrize(
    "fault",
    [
        ("AccessDeniedException", 400, InvalidInput, "denies to decrypt"),
        ("ExpiredTokenException", 400, InvalidInput, "denies to decrypt"),
        ("ThrottlingException", 400, Unavailable, "later"),
        ("KMSInternalException", 500, Unavailable, "later"),
        ("KeyUnavailableException", 500, Unavailable, "later"),
        ("IncorrectKeyException", 400, NotProven, "another key"),
        ("InvalidCiphertextException", 400, NotProven, "another key"),
        ("KMSInvalidStateException", 400, InvalidInput, "scheduled for deletion"),
        ("DisabledException", 400, InvalidInput, "disabled"),
        ("SomethingNewException", 400, InvalidInput, "SomethingNewException"),
    ],
)
def test_each_failure_says_who_has_to_do_what(service, tmp_path, fault):
    code, status, kind, message = fault
    (tmp_path / "plain").write_bytes(b"x" * 100)
    sealing.seal_file(tmp_path / "plain", tmp_path / "sealed", service, "data")
    before = (tmp_path / "sealed").read_bytes()
    failing(service, "Decrypt", code, status)
    for call in (
        lambda: sealing.unseal_file(tmp_path / "sealed", tmp_path / "opened", service),
        lambda: sealing.rewrap(tmp_path / "sealed", service, "data"),
        lambda: sealing.seal_file(tmp_path / "plain", tmp_path / "again", service, "data"),
    ):
        with pytest.raises(kind):
            call()
    with pytest.raises(kind, match=message):
        service.unwrap("data", service.wrap("data", SECRET, b""), b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "sealed"]
    assert (tmp_path / "sealed").read_bytes() == before


@pytest.mark.parametrize("kind", ["ConnectTimeoutError", "ReadTimeoutError", "EndpointConnectionError", "SSLError"])
def test_a_service_out_of_reach_is_unavailable(service, kind):
    import botocore.exceptions

    error = getattr(botocore.exceptions, kind)(endpoint_url="https://kms.eu-central-1", error="x")
    failing(service, "Encrypt", error)
    with pytest.raises(Unavailable, match="encrypt"):
        service.wrap("data", SECRET, b"")


def test_a_wrong_plaintext_is_not_believed(service, monkeypatch):
    wrapped = service.wrap("data", SECRET, b"")
    decrypt = service._client.decrypt
    monkeypatch.setattr(
        service._client, "decrypt", lambda **given: decrypt(**given) | {"Plaintext": os.urandom(64)}
    )
    with pytest.raises(NotProven, match="something else than was wrapped"):
        service.unwrap("data", wrapped, b"")


def test_a_rotation_that_is_cut_short_leaves_the_old_version_current(service, client):
    before, wrapped = service.ids("data"), service.wrap("data", SECRET, b"")
    failing(service, "UpdateAlias", "AccessDeniedException")
    with pytest.raises(InvalidInput, match="denies"):
        service.rotate("data")
    assert service.ids("data")[0] == before[0]
    again = open_keys(URI)
    again.rotate("data")
    assert again.ids("data")[0] not in before
    assert again.unwrap("data", wrapped, b"") == SECRET
    assert len(client.list_keys()["Keys"]) == 3


def test_a_key_that_gets_no_name_is_not_left_behind(kms, client):
    assert kms is not None
    service = open_keys(URI)
    failing(service, "CreateAlias", "AccessDeniedException")
    with pytest.raises(InvalidInput, match="denies"):
        service.create("data", AES_256)
    (key,) = client.list_keys()["Keys"]
    assert client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == "PendingDeletion"


def test_deletion_waits_as_long_as_the_uri_says_and_is_gone_on_with_after_a_fault(service, client):
    service = open_keys(f"{URI}&waiting=7")
    service.rotate("data")
    arns = service.ids("data")
    failing(service, "DeleteAlias", "ThrottlingException")
    with pytest.raises(Unavailable):
        service.destroy("data")
    assert dict(service.names()) == {}  # already nobody can use it
    gone = open_keys(f"{URI}&waiting=7").destroy("data")
    assert (gone.ids, gone.waiting_days) == (arns, 7)
    assert "CancelKeyDeletion" in gone.remains
    for arn in arns:
        state = client.describe_key(KeyId=arn)["KeyMetadata"]
        assert state["KeyState"] == "PendingDeletion"
    assert not [row for row in client.list_aliases()["Aliases"] if "team" in row["AliasName"]]


def test_foreign_keys_under_the_prefix_are_passed_over(service, client):
    rsa = client.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    client.create_alias(AliasName="alias/team/claims/rsa", TargetKeyId=rsa)
    client.create_alias(AliasName="alias/team/claims2", TargetKeyId=rsa)
    assert dict(service.names()) == {"data": AES_256}
    with pytest.raises(InvalidInput, match="have no dots"):
        service.create("a.b", AES_256)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("awskms:hauberk", "Write awskms://"),
        ("awskms://", "not a place for keys"),
        ("awskms://a b?region=eu-central-1", "not a place for keys"),
        ("awskms://x?region=eu-central-1&secret=1", "unknown option 'secret'"),
        ("awskms://key:secret@x?region=eu-central-1", "no user and no password"),
        ("awskms://x?region=eu-central-1&endpoint=http://kms.example", "expected https"),
        ("awskms://x?region=eu-central-1&endpoint=http://127.0.0.1.example", "expected https"),
        ("awskms://x?region=eu-central-1&waiting=3", "from 7 to 30"),
        ("awskms://x?profile=absent", "absent"),
        ("awskms://x", "region"),
    ],
)
def test_a_uri_that_does_not_fit_is_refused(kms, monkeypatch, tmp_path, uri, message):
    assert kms is not None
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(InvalidInput, match=message) as caught:
        open_keys(uri)
    assert "key:secret" not in str(caught.value)


def test_without_credentials_it_says_how_to_get_them(kms, monkeypatch, tmp_path):
    from botocore.exceptions import NoCredentialsError

    assert kms is not None
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    service = open_keys(URI)
    failing(service, "ListAliases", NoCredentialsError())
    with pytest.raises(InvalidInput, match="aws sso login"):
        service.names()


def test_without_boto3_the_install_command_is_named(monkeypatch):
    import sys

    from hauberk.core.errors import MissingExtra

    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtra, match=r"pip install 'hauberk\[kms\]'"):
        open_keys(URI)


@pytest.mark.parametrize("name", ["data/1", "../claims/data", "", "data/"])
def test_a_version_is_no_name(service, name):
    for call in (
        lambda: service.wrap(name, SECRET, b""),
        lambda: service.ids(name),
        lambda: service.is_current(name, b""),
    ):
        with pytest.raises(InvalidInput, match="no key is named"):
            call()


def test_a_file_costs_few_requests(service, tmp_path):
    (tmp_path / "plain").write_bytes(b"x")
    sealing.seal_file(tmp_path / "plain", tmp_path / "sealed", service, "data")
    calls, call = [], service._client._make_api_call
    service._client._make_api_call = lambda name, given: calls.append(name) or call(name, given)
    sealing.seal_file(tmp_path / "plain", tmp_path / "sealed", service, "data")
    sealing.unseal_file(tmp_path / "sealed", tmp_path / "opened", service)
    assert calls == ["DescribeKey", "Encrypt", "Decrypt", "Decrypt"]
