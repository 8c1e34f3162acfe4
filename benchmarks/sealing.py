"""Sealing against its peers: GB/s to encrypt and to decrypt one file, and the ratio to tink, in one run.

    python benchmarks/sealing.py [--size 1024] [--rounds 5] [--folder /dev/shm] [--json]

Size in MiB; every tool goes from file to file on one file system, a RAM disk by default, so that the disk does not
hide the work. The tools take turns in each round, so that a busy moment of the machine strikes all of them, and the
median over the rounds is shown; ratios are medians of the ratios within a round. A peer that is not installed is
left out, with the reason.

hauberk stream      the stream alone, from file to file: like for like with tink
hauberk seal_file   `seal_file` and `unseal_file`: the same with envelope, durable rename and, when sealing, the
                    SHA-256 of the sealed file, which one core computes and which bounds the whole
tink, then SHA-256  what it takes to get the same digest from tink
one thread          AES-GCM by segments of 1 MiB, read, encrypt, write: the floor that needs no idea

Then the price of moving a file to a new key, `rewrap` against opening and sealing it again, and the time of one
`wrap` and one `unwrap` with each key service that runs here: a keyring file, a token (SoftHSM, when it is
installed), Vault's transit API over TLS 1.3 and AWS KMS. The last two are stand-ins on this machine (the tests'
server, moto), so theirs is the price of our side and of the protocol, not of a network or of a service.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hauberk.core import tls
from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError
from hauberk.custody import sealing, streams
from hauberk.custody._files import draft, source
from hauberk.custody.authority import Authority
from hauberk.custody.keys import open_keys

MIB = 2**20
Step = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Tool:
    name: str
    encrypt: Step
    decrypt: Step


class Left(Exception):  # noqa: N818 - no error: the table says why a row is missing
    """A peer is not here."""


class Keys:
    """One key-encryption key in memory: what a keyring costs does not depend on the size of the file."""

    def __init__(self):
        self.key = AESGCM(os.urandom(32))

    def wrap(self, _name, secret, associated):
        nonce = os.urandom(12)
        return nonce + self.key.encrypt(nonce, secret, associated)

    def unwrap(self, _name, wrapped, associated):
        return self.key.decrypt(wrapped[:12], wrapped[12:], associated)


def hauberk():
    keys = Keys()
    return Tool(
        "hauberk seal_file",
        lambda a, b: sealing.seal_file(a, b, keys, "data", associated=b"bench"),
        lambda a, b: sealing.unseal_file(a, b, keys, "data", associated=b"bench"),
    )


def hauberk_stream():
    key = os.urandom(32)

    class NoSync(Disk):
        def sync(self, _descriptor):
            pass

    def encrypt(a, b):
        with source(a) as plain, draft(b, disk=NoSync(), mode=0o600) as sealed:
            streams.encrypt(key, plain.read_at, sealed.write_at, size=plain.size)

    def decrypt(a, b):
        with source(a) as sealed, draft(b, disk=NoSync(), mode=0o600) as plain:
            streams.decrypt(key, sealed.read_at, plain.write_at, size=sealed.size)

    return Tool("hauberk stream", encrypt, decrypt)


def one_thread():
    key = AESGCM(os.urandom(32))

    def through(a, b, take, work):
        with a.open("rb") as plain, b.open("wb") as sealed:
            index = 0
            while data := plain.read(take):
                sealed.write(work(index.to_bytes(12, "big"), data, b""))
                index += 1

    return Tool(
        "one thread",
        lambda a, b: through(a, b, MIB - 16, key.encrypt),
        lambda a, b: through(a, b, MIB, key.decrypt),
    )


def tink():
    try:
        import tink as library
        from tink import streaming_aead
    except ImportError as error:
        raise Left("tink is not installed") from error
    streaming_aead.register()
    template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    primitive = library.new_keyset_handle(template).primitive(streaming_aead.StreamingAead)

    def encrypt(a, b):
        with (
            a.open("rb") as plain,
            b.open("wb") as sealed,
            primitive.new_encrypting_stream(sealed, b"bench") as stream,
        ):
            while data := plain.read(MIB):
                stream.write(data)

    def decrypt(a, b):
        with (
            a.open("rb") as sealed,
            b.open("wb") as plain,
            primitive.new_decrypting_stream(sealed, b"bench") as stream,
        ):
            while data := stream.read(MIB):
                plain.write(data)

    return Tool("tink", encrypt, decrypt)


def tink_then_digest():
    plain = tink()

    def encrypt(a, b):
        plain.encrypt(a, b)
        digest(b)

    return Tool("tink, then SHA-256", encrypt, plain.decrypt)


def pyrage():
    try:
        import pyrage as library
    except ImportError as error:
        raise Left("pyrage is not installed") from error
    identity = library.x25519.Identity.generate()
    return Tool(
        "pyrage",
        lambda a, b: library.encrypt_file(str(a), str(b), [identity.to_public()]),
        lambda a, b: library.decrypt_file(str(a), str(b), [identity]),
    )


def age():
    if not (shutil.which("age") and shutil.which("age-keygen")):
        raise Left("age is not on PATH")
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    recipient = next(line.split()[-1] for line in made.splitlines() if "public key" in line)
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(made)
    return Tool(
        "age",
        lambda a, b: subprocess.run(["age", "-r", recipient, "-o", b, a], check=True),
        lambda a, b: subprocess.run(["age", "-d", "-i", file.name, "-o", b, a], check=True),
    )


def timed(step: Step, a: Path, b: Path) -> float:
    b.unlink(missing_ok=True)
    start = time.perf_counter()
    step(a, b)
    return time.perf_counter() - start


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def measure(tools: list[Tool], *, size: int, rounds: int, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Seconds of each round, after one that does not count: memory is slow when first touched."""
    times = {tool.name: {"encrypt": [], "decrypt": []} for tool in tools}
    plain, sealed, opened = (folder / name for name in ("plain", "sealed", "opened"))
    for turn in range(rounds + 1):
        if not turn:
            with plain.open("wb") as file:
                for _ in range(size):
                    file.write(os.urandom(MIB))
            expected = digest(plain)
        # Each round begins with another tool, so that none always runs behind the same neighbour.
        for tool in tools[turn % len(tools) :] + tools[: turn % len(tools)]:
            seconds = timed(tool.encrypt, plain, sealed), timed(tool.decrypt, sealed, opened)
            if digest(opened) != expected:
                raise SystemExit(f"{tool.name} did not give the file back")
            sealed.unlink()
            opened.unlink()
            if turn:
                for name, value in zip(("encrypt", "decrypt"), seconds, strict=True):
                    times[tool.name][name].append(value)
    return times


def summary(times: dict[str, dict[str, list[float]]], size: int) -> list[dict[str, object]]:
    rows = []
    for name, steps in times.items():
        row: dict[str, object] = {"tool": name}
        for step, seconds in steps.items():
            row[f"{step}_seconds"] = [round(value, 4) for value in seconds]
            row[f"{step}_gb_per_s"] = size * MIB / statistics.median(seconds) / 1e9
            if "tink" in times:
                against = zip(times["tink"][step], seconds, strict=True)
                row[f"{step}_to_tink"] = statistics.median(theirs / ours for theirs, ours in against)
        rows.append(row)
    return rows


def rewrapping(size: int, rounds: int, folder: Path) -> dict[str, float]:
    """Median seconds to move one file to the next version of its key, and to open and seal it again."""
    keys, seconds = Keys(), {"rewrap": [], "open_and_seal": []}
    plain, sealed, again = (folder / name for name in ("plain", "sealed", "again"))
    plain.write_bytes(os.urandom(MIB) * size)
    sealing.seal_file(plain, sealed, keys, "data")
    for _ in range(rounds + 1):
        start = time.perf_counter()
        sealing.rewrap(sealed, keys, "data")
        middle = time.perf_counter()
        sealing.unseal_file(sealed, again, keys)
        sealing.seal_file(again, sealed, keys, "data")
        seconds["rewrap"].append(middle - start)
        seconds["open_and_seal"].append(time.perf_counter() - middle)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


@contextmanager
def services(folder: Path):
    """Key services by name that can be opened here; what cannot is left out with a reason."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "custody" / "keys"))
    from hauberk.custody.keys.keyring import Keyring

    opened, left = {"keyring": Keyring.make(folder / "keyring", b"five words that are random")}, {}
    with ExitStack() as stack:
        for name, make in (("pkcs11 (SoftHSM)", softhsm), ("vault (stand-in)", vault), ("awskms (moto)", kms)):
            try:
                opened[name] = make(folder, stack)
            except (ImportError, OSError, subprocess.CalledProcessError, HauberkError) as error:
                left[name] = f"{type(error).__name__}: {error}"
        for service in opened.values():
            service.create("data", "aes-256")
        yield opened, left


def softhsm(folder: Path, _stack: ExitStack):
    driver = "/usr/lib/softhsm/libsofthsm2.so"
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    os.environ |= {"SOFTHSM2_CONF": str(folder / "softhsm2.conf"), "HAUBERK_PIN": "123456"}
    command = "softhsm2-util --init-token --free --label bench --pin 123456 --so-pin 123456"
    subprocess.run(command.split(), check=True, capture_output=True)
    return open_keys(f"pkcs11:token=bench?module-path={driver}")


def vault(folder: Path, stack: ExitStack):
    from vault_server import TOKEN, VaultServer

    authority = Authority.make(folder / "tls", name="bench", now=datetime.now(UTC))
    served = authority.issue(["localhost"], client=False, now=datetime.now(UTC))
    server = stack.enter_context(VaultServer(context=tls.server_context(served.certificate, served.key)))
    os.environ["VAULT_TOKEN"] = TOKEN
    return open_keys(f"vault://localhost:{server.port}/transit?cacert={authority.certificate}")


def kms(_folder: Path, stack: ExitStack):
    from kms_server import serving

    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    stack.enter_context(serving())
    return open_keys("awskms://bench?region=eu-central-1")


def latencies(opened, rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of one call, by service."""
    rows = {}
    for name, service in opened.items():
        seconds = {"wrap": [], "unwrap": []}
        for _ in range(max(20, 4 * rounds)):
            start = time.perf_counter()
            wrapped = service.wrap("data", bytes(32), b"bench")
            middle = time.perf_counter()
            service.unwrap("data", wrapped, b"bench")
            seconds["wrap"].append(middle - start)
            seconds["unwrap"].append(time.perf_counter() - middle)
        rows[name] = {call: 1e3 * statistics.median(values) for call, values in seconds.items()}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Sealing against its peers.")
    parser.add_argument("--size", type=int, default=1024, help="MiB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--folder", type=Path, default=Path("/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir())
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tools, left = [], {}
    for make in (hauberk_stream, hauberk, tink, tink_then_digest, one_thread, pyrage, age):
        try:
            tools.append(make())
        except Left as reason:
            left[make.__name__] = str(reason)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="hauberk-bench-") as folder:
        rows = summary(measure(tools, size=options.size, rounds=options.rounds, folder=Path(folder)), options.size)
        moved = rewrapping(options.size, options.rounds, Path(folder))
        with services(Path(folder)) as (opened, away):
            calls, left = latencies(opened, options.rounds), left | away
    if options.json:
        document = {"size_mib": options.size, "rounds": options.rounds, "rows": rows, "left_out": left}
        print(json.dumps(document | {"rewrap_seconds": moved, "key_service_ms": calls}))
        return
    threads = streams.workers()
    print(f"Sealing {options.size} MiB, median of {options.rounds} rounds, {threads} threads, {options.folder}\n")
    print(f"{'':20}{'encrypt':>10}{'to tink':>10}{'decrypt':>12}{'to tink':>10}")
    for row in rows:
        cells = f"{row['tool']:20}"
        for step, width in (("encrypt", 5), ("decrypt", 7)):
            ratio = row.get(f"{step}_to_tink")
            cells += f"{row[f'{step}_gb_per_s']:{width}.2f} GB/s" + (f"{ratio:9.2f}x" if ratio else " " * 10)
        print(cells)
    ratio = moved["open_and_seal"] / moved["rewrap"]
    print(
        f"\nto a new key: rewrap {moved['rewrap']:.3f} s, open and seal again {moved['open_and_seal']:.3f} s",
        end="",
    )
    print(f" ({ratio:.1f} times as long)\n")
    for name, row in calls.items():
        print(f"{name:20}wrap {row['wrap']:8.2f} ms   unwrap {row['unwrap']:8.2f} ms")
    for name, reason in left.items():
        print(f"{name:20}left out: {reason}")


if __name__ == "__main__":
    main()
