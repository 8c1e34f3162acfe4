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
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hauberk.core.disk import Disk
from hauberk.custody import sealing, streams
from hauberk.custody._files import draft, source

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
    if options.json:
        print(json.dumps({"size_mib": options.size, "rounds": options.rounds, "rows": rows, "left_out": left}))
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
    for name, reason in left.items():
        print(f"{name:20}left out: {reason}")


if __name__ == "__main__":
    main()
