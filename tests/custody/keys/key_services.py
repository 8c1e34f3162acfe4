"""Every key service at work on this machine: a keyring file, moto's KMS, SoftHSM, a transit server, a memory keyring."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import kms_server
import pytest
import vault_server

from hauberk.custody.keys import open_keys
from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring

PIN = "2468135"
_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


@pytest.fixture
def keyring_service(tmp_path):
    return Keyring.make(tmp_path / "law.keyring", b"five words that are random", cost=Cost(1, 64, 1))


@pytest.fixture
def awskms_service(kms):
    assert kms is not None
    return open_keys("awskms://hauberk/laws?region=eu-central-1")


@pytest.fixture
def kms(monkeypatch):
    """A KMS in this process: moto, with Ed25519 keys, which it does not know yet."""
    for name in ("boto3", "moto"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    for name, value in (("ACCESS_KEY_ID", "testing"), ("SECRET_ACCESS_KEY", "testing")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with kms_server.serving() as backend:
        yield backend


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory):
    """A driver and its folder of tokens; the driver reads its settings once in a process."""
    module = next((Path(path) for path in _MODULES if Path(path).is_file()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed: `apt-get install softhsm2`")
    if importlib.util.find_spec("pkcs11") is None:
        pytest.skip("python-pkcs11 is not installed")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    settings = folder / "softhsm2.conf"
    settings.write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    os.environ["SOFTHSM2_CONF"] = str(settings)
    return module, folder / "tokens"


@pytest.fixture
def token(softhsm, monkeypatch, request):
    """A fresh token: its URI and its folder."""
    module, tokens = softhsm
    label = f"t{abs(hash(request.node.nodeid)) % 10**12}"
    before = set(tokens.iterdir())
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "12345678"]
    subprocess.run(command, check=True, capture_output=True)
    (folder,) = set(tokens.iterdir()) - before
    monkeypatch.setenv("HAUBERK_PIN", PIN)
    import pkcs11

    pkcs11.lib(str(module)).reinitialize()  # it looked for tokens when it was loaded
    yield f"pkcs11:token={label}?module-path={module}", folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pkcs11_service(token):
    return open_keys(token[0])


@pytest.fixture
def vault(monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", vault_server.TOKEN)
    monkeypatch.delenv("VAULT_CACERT", raising=False)
    with vault_server.VaultServer() as server:
        yield server


@pytest.fixture
def vault_uri(vault):
    return f"vault://127.0.0.1:{vault.port}/transit?tls=off&timeout=2"


@pytest.fixture
def vault_service(vault, vault_uri):
    service = open_keys(vault_uri)

    class Law(type(service)):  # the operator of this Vault allows every deletion
        __slots__ = ()

        def destroy(self, name):
            if name in vault.keys:
                vault.keys[name].deletable = True
            return super().destroy(name)

    return Law(service._transit)


@pytest.fixture
def os_keyring(monkeypatch, tmp_path):
    """The system's keyring, in memory."""
    keyring = pytest.importorskip("keyring")
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1

        def __init__(self):
            super().__init__()
            self.kept, self.failure = {}, None

        def _ready(self):
            if self.failure is not None:
                raise self.failure

        def get_password(self, service, username):
            self._ready()
            return self.kept.get((service, username))

        def set_password(self, service, username, password):
            self._ready()
            self.kept[service, username] = password

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    before, memory = keyring.get_keyring(), Memory()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture
def oskeyring_service(os_keyring):
    assert os_keyring is not None
    return open_keys("oskeyring:hauberk-laws", create=True)
