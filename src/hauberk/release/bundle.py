"""A release: a folder that proves itself offline. This module lays it out; `verification` takes it apart.

    manifest.json            DSSE envelope of an in-toto statement whose subjects are all the other files
    model.onnx               the served model          (or model.onnx.sealed)
    weights.safetensors      for further training      (or weights.safetensors.sealed; torch models only)
    attestations/00007.json  DSSE envelopes, named by their index in the ledger
    proofs/00007.tlog-proof  the inclusion proof of each (C2SP tlog-proof)
    checkpoint               the signed tree head that all proofs lead to (C2SP tlog-checkpoint)
    consistency.json         proofs that this checkpoint extends that of every release before
    keys/KEYID.pem           verifying keys: of the signer and of the ledger
    card.md                  the model card

The folder is built beside its place and then exchanged with the old one in one step (two where the system cannot), so a
reader finds the old release or the new one.
"""

from __future__ import annotations

import base64
import errno
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hauberk.core import canonical
from hauberk.core.disk import Disk, explain
from hauberk.core.errors import NotProven
from hauberk.core.evidence import Subject
from hauberk.custody import statements
from hauberk.custody.keys.port import PublicKey, Signer
from hauberk.custody.ledger import Ledger

MANIFEST = "manifest.json"
CHECKPOINT = "checkpoint"
CONSISTENCY = "consistency.json"
SEALED_SUFFIX = ".sealed"
SERVED = "model.onnx"
ROLLED_BACK = "release.rolled-back"

Announce = Callable[[Path, bytes], None]
"""Called with the built folder and the manifest's bytes before the release is visible; an exception keeps the old release."""

Sealer = Callable[[bytes, bytes], bytes]


def sealed_context(name: str) -> bytes:
    """Return the associated data of a sealed model file, so that one cannot be passed off as another."""
    return b"hauberk release model\0" + name.encode()


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Model(_Strict):
    """A model file: its plain name, the SHA-256 of its plain bytes, and whether the release holds it sealed."""

    name: str
    sha256: str
    sealed: bool


class LedgerHead(_Strict):
    """Which ledger the proofs lead to: its origin, the size of the checkpoint, and its key id."""

    origin: str
    size: int
    key: str


class Manifest(_Strict):
    """The predicate of the manifest.

    about: role to SHA-256. verdict: the ledger index of the gate's attestation. signers: key ids that attestations
    may be signed by; the first one signs the manifest, the others are its earlier versions. restores: the ledger index of
    the event that says why an earlier model is released again; None for a model that is released for the first time.
    """

    project: str
    made: str
    signers: list[str] = Field(min_length=1)
    ledger: LedgerHead
    about: dict[str, str]
    released: str
    verdict: int
    models: list[Model]
    restores: int | None = None

    @classmethod
    def read(cls, predicate: Mapping[str, Any]) -> Manifest:
        """Check the shape. Raises NotProven: a signed manifest of another shape was not made by Hauberk."""
        try:
            return cls.model_validate(dict(predicate))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise NotProven(f"the manifest does not have a release's shape: {place}: {first['msg']}.") from error


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a release.

    models: file name to plain bytes. attestations: ledger index to envelope bytes. about: role to the SHA-256 of
    its artifact; released: the role that is released; verdict: ledger index of the gate's attestation. made: RFC
    3339 UTC. earlier: tree sizes of the checkpoints of earlier releases. sealer: (plain, context) to sealed bytes,
    or None to leave the models plain. restores: as in `Manifest`.
    """

    project: str
    made: str
    models: Mapping[str, bytes]
    attestations: Mapping[int, bytes]
    about: Mapping[str, str]
    released: str
    verdict: int
    card: str
    earlier: Sequence[int] = ()
    sealer: Sealer | None = None
    restores: int | None = None


def write(  # noqa: PLR0913 - the parts of custody that a release is made from
    place: Path,
    contents: Contents,
    *,
    ledger: Ledger,
    signer: Signer,
    publics: Sequence[PublicKey],
    log_key: PublicKey,
    announce: Announce = lambda _folder, _manifest: None,
    disk: Disk | None = None,
) -> bytes:
    """Write the release to `place`, replacing an earlier one, and return the bytes of its manifest.

    signer signs the manifest; publics are all versions of that key, the current one first. log_key verifies the
    ledger's checkpoints. announce: logs the release, after it is complete and before it is visible, so
    that no checkpoint becomes public without a record.
    Raises Unavailable when the disk is full and InvalidInput when the folder cannot be written; the earlier release
    is then still at `place`.
    """
    disk = disk or Disk()
    files = _files(contents, ledger, (*publics, log_key))
    manifest = statements.attest(_statement(contents, files, ledger, publics, log_key), signer)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _tidy(place, disk)
        building = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    except OSError as error:
        raise explain(error, place) from error
    try:
        building.chmod(0o755)
        _fill(building, {**files, MANIFEST: manifest}, disk)
        announce(building, manifest)
        _swap(building, place, disk)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return manifest


def _fill(building: Path, files: Mapping[str, bytes], disk: Disk) -> None:
    """Write all files and sync each once: no one reads them before the folder gets its name."""
    paths = {building / name: data for name, data in files.items()}
    folders = dict.fromkeys(path.parent for path in paths)
    try:
        for folder in folders:
            disk.make_folder(folder)
        disk.fill(list(paths.items()))
        for folder in folders:
            disk.sync_folder(folder)
    except OSError as error:
        raise explain(error, building) from error


def _tidy(place: Path, disk: Disk) -> None:
    """Remove the remains of a killed run; restore an old release that it had moved aside."""
    for left in place.parent.glob(f".{place.name}.*"):
        if left.suffix == ".old" and not place.exists():
            disk.rename(left, place)
        shutil.rmtree(left, ignore_errors=True)


def _swap(building: Path, place: Path, disk: Disk) -> None:
    try:
        if not place.exists():
            disk.rename(building, place)
        else:
            try:
                disk.exchange(building, place)
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
                    raise
                _swap_in_two(building, place, disk)
        disk.sync_folder(place.parent)
    except OSError as error:
        raise explain(error, place) from error


def _swap_in_two(building: Path, place: Path, disk: Disk) -> None:
    old = building.with_name(building.name + ".old")
    disk.rename(place, old)
    try:
        disk.rename(building, place)
    except OSError:
        disk.rename(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def attestation_name(index: int) -> str:
    """Return the file of the attestation at a ledger index."""
    return f"attestations/{index:05d}.json"


def proof_name(index: int) -> str:
    """Return the file of the inclusion proof of a ledger index."""
    return f"proofs/{index:05d}.tlog-proof"


def _files(contents: Contents, ledger: Ledger, keys: Sequence[PublicKey]) -> dict[str, bytes]:
    size = ledger.size
    files = dict(_models(contents))
    for index, envelope in contents.attestations.items():
        files[attestation_name(index)] = envelope
        files[proof_name(index)] = ledger.tlog_proof(index)
    files[CHECKPOINT] = ledger.checkpoint()
    proofs = [
        {"size": old, "hashes": [base64.b64encode(h).decode() for h in ledger.prove_consistency(old, size)]}
        for old in sorted(set(contents.earlier))
        if 0 < old <= size
    ]
    files[CONSISTENCY] = canonical.encode(proofs)
    for key in keys:
        files[f"keys/{key.key_id}.pem"] = key.pem().encode("ascii")
    files["card.md"] = contents.card.encode("utf-8")
    return files


def _models(contents: Contents) -> list[tuple[str, bytes]]:
    if contents.sealer is None:
        return list(contents.models.items())
    return [
        (name + SEALED_SUFFIX, contents.sealer(plain, sealed_context(name)))
        for name, plain in contents.models.items()
    ]


def _statement(
    contents: Contents,
    files: Mapping[str, bytes],
    ledger: Ledger,
    signing: Sequence[PublicKey],
    log_key: PublicKey,
) -> statements.Statement:
    subjects = tuple(Subject(name, canonical.sha256(data)) for name, data in sorted(files.items()))
    manifest = Manifest(
        project=contents.project,
        made=contents.made,
        signers=[key.key_id for key in signing],
        ledger=LedgerHead(origin=ledger.origin, size=ledger.size, key=log_key.key_id),
        about=dict(contents.about),
        released=contents.released,
        verdict=contents.verdict,
        models=[
            Model(name=name, sha256=canonical.sha256(plain), sealed=contents.sealer is not None)
            for name, plain in contents.models.items()
        ],
        restores=contents.restores,
    )
    return statements.Statement(subjects, statements.RELEASE, manifest.model_dump())


def read_consistency(data: bytes) -> dict[int, tuple[bytes, ...]]:
    """Return tree size to consistency proof, as `consistency.json` has them. Raises NotProven."""
    try:
        return {
            int(proof["size"]): tuple(base64.b64decode(text, validate=True) for text in proof["hashes"])
            for proof in canonical.decode(data, what=CONSISTENCY)
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotProven(f"{CONSISTENCY} does not hold consistency proofs.") from error
