"""`hauberk keys`: what each command prints, in which stream, with which exit code, and that no secret is in it."""

import json
import re

import pytest

from hauberk.cli.main import run
from hauberk.custody.keys import PublicKey, open_keys

PASSPHRASE = "correct horse battery"


@pytest.fixture
def uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAUBERK_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    for name in (
        "HAUBERK_PASSPHRASE_FILE",
        "HAUBERK_KEYS",
        "HAUBERK_NEW_PASSPHRASE",
        "HAUBERK_NEW_PASSPHRASE_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    return "keyring:kept/keyring"


@pytest.fixture
def call(uri, capsys):
    def run_one(*arguments, code=0):
        capsys.readouterr()
        assert run(["keys", *arguments, "--keys", uri]) == code
        return capsys.readouterr()

    return run_one


def document(captured):
    return json.loads(captured.out)


def test_a_key_is_made_listed_rotated_and_shown(call, uri):
    made = document(call("create", "release", "--algorithm", "ecdsa-p256", "--json"))
    assert (made["name"], made["algorithm"], made["versions"]) == ("release", "ecdsa-p256", 1)
    call("create", "sealing", "--algorithm", "aes-256")

    rotated = document(call("rotate", "release", "--json"))
    assert rotated["versions"] == 2
    assert rotated["key_id"] != made["key_id"]

    listed = document(call("list", "--json"))["keys"]
    assert listed == [rotated, {"name": "sealing", "algorithm": "aes-256", "key_id": None, "versions": 1}]

    shown = document(call("show", "release", "--json"))
    assert [version["key_id"] for version in shown["versions"]] == [rotated["key_id"], made["key_id"]]
    publics = open_keys(uri, passphrase=PASSPHRASE.encode).publics("release")
    assert [PublicKey.from_pem(version["pem"].encode()) for version in shown["versions"]] == list(publics)


def test_show_puts_the_pem_alone_on_standard_output(call):
    call("create", "release")
    captured = call("show", "release")
    public = PublicKey.from_pem(captured.out.encode())
    assert captured.out == public.pem()
    assert public.key_id in captured.err


def test_people_read_names_and_whole_key_ids(call):
    assert "hauberk keys create" in call("list", code=2).err
    made = document(call("create", "release", "--json"))
    assert f"release  ed25519     1         {made['key_id']}\n" in call("list").out
    assert re.search(r"Rotated release \(ed25519, key id [0-9a-f]{64}\)\.", call("rotate", "release").out)


def test_without_an_option_the_keys_are_in_the_project(uri, tmp_path, monkeypatch, capsys):
    assert uri
    assert run(["keys", "create", "release"]) == 0
    assert (tmp_path / ".hauberk" / "keyring").is_file()
    monkeypatch.setenv("HAUBERK_KEYS", "keyring:elsewhere")
    assert run(["keys", "create", "other"]) == 0
    assert (tmp_path / "elsewhere").is_file()
    capsys.readouterr()


def test_the_passphrase_is_changed_and_the_keys_stay(call, monkeypatch):
    made = document(call("create", "release", "--json"))
    monkeypatch.setenv("HAUBERK_NEW_PASSPHRASE", "another long one")
    assert document(call("passphrase", "--json"))["changed"] is True
    assert "passphrase is wrong" in call("list", code=2).err
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "another long one")
    assert document(call("list", "--json"))["keys"] == [made]


def test_a_short_new_passphrase_changes_nothing(call, monkeypatch):
    call("create", "release")
    monkeypatch.setenv("HAUBERK_NEW_PASSPHRASE", "short")
    assert "at least 8" in call("passphrase", code=2).err
    call("list")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "release"), "exists already"),
        (("create", "Not Fit"), "cannot name"),
        (("create", "x", "--algorithm", "rsa"), "ed25519"),
        (("rotate", "absent"), "release"),
        (("show", "absent"), "release"),
        (("show", "sealing"), "cannot sign"),
    ],
)
def test_bad_usage_ends_with_2_and_says_what_is_known(call, arguments, said):
    call("create", "release")
    call("create", "sealing", "--algorithm", "aes-256")
    captured = call(*arguments, code=2)
    assert said in captured.err
    assert captured.out == ""


def test_an_unknown_scheme_lists_the_known_ones(uri, capsys):
    assert uri
    assert run(["keys", "list", "--keys", "gopher:x"]) == 2
    assert "keyring" in capsys.readouterr().err


def test_with_nobody_to_ask_the_ways_to_give_a_passphrase_are_named(call, monkeypatch):
    monkeypatch.delenv("HAUBERK_PASSPHRASE")
    monkeypatch.setattr("sys.stdin", None)
    assert "HAUBERK_PASSPHRASE_FILE" in call("create", "release", code=2).err


def test_keys_made_under_the_users_own_passphrase_file_open_with_it(call, tmp_path, monkeypatch):
    monkeypatch.delenv("HAUBERK_PASSPHRASE")
    own = tmp_path / "configuration" / "hauberk" / "passphrase"
    own.parent.mkdir(parents=True)
    own.write_text("a passphrase of mine\n")
    call("create", "release")
    own.unlink()
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "a passphrase of mine")
    assert "release" in call("list").out


def test_no_command_prints_a_secret(call, uri, monkeypatch):
    said = ""
    monkeypatch.setenv("HAUBERK_NEW_PASSPHRASE", "another long one")
    for arguments in (
        ("create", "a"),
        ("create", "b", "--algorithm", "ecdsa-p256", "--json"),
        ("create", "c", "--algorithm", "aes-256"),
        ("rotate", "a"),
        ("rotate", "c", "--json"),
        ("list",),
        ("list", "--json"),
        ("show", "a"),
        ("show", "b", "--json"),
        ("passphrase",),
    ):
        captured = call(*arguments)
        said += captured.out + captured.err
    keyring = open_keys(uri, passphrase=lambda: b"another long one")
    secrets = [version.to_json()["secret"] for versions in keyring._keys().values() for version in versions]
    assert len(secrets) == 5
    assert not [secret for secret in secrets if secret in said]
    assert PASSPHRASE not in said
    assert "another long one" not in said
