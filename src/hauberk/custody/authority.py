"""A small certificate authority for a team that has none: TLS and mTLS between its own machines.

    FOLDER/ca.pem      the authority's certificate: every machine trusts this file, and nothing else
    FOLDER/ca.key      its secret key (0600): keep it on the machine that issues certificates, not on servers
    FOLDER/NAME.pem    a certificate, with FOLDER/NAME.key (0600)

EC P-256 keys, SHA-256, X.509 v3 with strict extensions (RFC 5280). The authority is valid for ten years and may sign no
other authority; certificates are valid for 90 days, and can be renewed with the same key from 30 days before they expire.

Answers: who is at the other end, for machines that trust this file (see `core.tls`).
Does not answer: revocation (there are no revocation lists; the short validity limits the use of a stolen key); an attacker
who reads `ca.key`, and can then impersonate any machine. `only` limits the names that the authority can certify.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hauberk.core import outputs
from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput
from hauberk.core.tls import check_private

CA = "ca"
DAYS = 90
RENEW_DAYS = 30
_CA_DAYS = 3650
_SKEW = timedelta(minutes=5)  # the verifier's clock may be a little behind ours
_HOST = re.compile(
    r"(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*", re.ASCII
)
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,99}", re.ASCII)

_Subtree = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate in the folder. names: its subject names. client: whether it is for a client, not a server."""

    name: str
    certificate: Path
    key: Path
    names: tuple[str, ...]
    client: bool
    ends: datetime

    def due(self, now: datetime) -> bool:
        """Whether it is time to renew it."""
        return self.ends - now < timedelta(days=RENEW_DAYS)


class Authority:
    """An authority in a folder; `make` writes a new one, `open` reads one."""

    __slots__ = ("_certificate", "_disk", "_key", "folder")

    def __init__(
        self, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, disk: Disk
    ) -> None:
        self.folder, self._certificate, self._key, self._disk = folder, certificate, key, disk

    def __repr__(self) -> str:
        return f"<Authority {self.folder}>"

    @property
    def certificate(self) -> Path:
        """The file that others trust."""
        return self.folder / f"{CA}.pem"

    @property
    def ends(self) -> datetime:
        """When the authority itself ends."""
        return self._certificate.not_valid_after_utc

    @classmethod
    def make(
        cls, folder: Path, *, name: str, now: datetime, only: Sequence[str] = (), disk: Disk | None = None
    ) -> Authority:
        """Create an authority. only: the domains and networks to which its certificates are limited (name constraints).

        Raises InvalidInput if the folder has an authority, or for a malformed name or domain.
        """
        disk = disk or Disk()
        if (folder / f"{CA}.pem").exists():
            raise InvalidInput(
                f"there is an authority in {folder} already. Nothing was changed; choose another folder."
            )
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:60])])
        builder = (
            _builder(subject, subject, key.public_key(), now, _CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if only:
            builder = builder.add_extension(_constraints(only), critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        # The certificate is written last: without it there is no authority, and an interrupted run can be repeated.
        outputs.write(folder / f"{CA}.key", _private(key), mode=0o600, disk=disk)
        outputs.write(folder / f"{CA}.pem", certificate.public_bytes(serialization.Encoding.PEM), disk=disk)
        return cls(folder, certificate, key, disk)

    @classmethod
    def open(cls, folder: Path, *, now: datetime, disk: Disk | None = None) -> Authority:
        """Open an authority, to issue certificates. Raises InvalidInput if a file is not usable, or the authority expired."""
        certificate, key = _read_certificate(folder / f"{CA}.pem"), _read_key(folder / f"{CA}.key")
        if certificate.public_key() != key.public_key():
            raise InvalidInput(
                f"{folder / CA}.pem and {CA}.key do not belong together. Restore both from a backup."
            )
        if certificate.not_valid_after_utc < now:
            raise InvalidInput(
                f"the authority in {folder} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: make another one in "
                "another folder, and let every machine trust it."
            )
        return cls(folder, certificate, key, disk or Disk())

    def issue(self, names: Sequence[str], *, client: bool, now: datetime, days: int = DAYS) -> Issued:
        """Write a certificate for a server's names (hosts and addresses) or for a client, and its key.

        The first name names the files. If the key file exists, the certificate is renewed with the same key: remove NAME.key
        for a new one. days: 1 to 397. Raises InvalidInput for malformed names, or names that the authority may not sign.
        """
        file, identities = read_names(names, client=client)
        if not 1 <= days <= 397:
            raise InvalidInput(f"a certificate is valid for 1 to 397 days, found {days}.")
        pem, secret = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        fresh = not secret.exists()
        key = ec.generate_private_key(ec.SECP256R1()) if fresh else _read_key(secret)
        issuer = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:60])])
        certificate = (
            _builder(subject, self._certificate.subject, key.public_key(), now, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(identities), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        if fresh:
            outputs.write(secret, _private(key), mode=0o600, disk=self._disk)
        outputs.write(pem, certificate.public_bytes(serialization.Encoding.PEM), disk=self._disk)
        return _issued(pem)

    def issued(self) -> list[Issued]:
        """Return the certificates in the folder that this authority signed, by name."""
        found = []
        for path in sorted(self.folder.glob("*.pem")):
            with contextlib.suppress(InvalidInput, ValueError, TypeError):
                certificate = _read_certificate(path)
                certificate.verify_directly_issued_by(self._certificate)
                if path.stem != CA:
                    found.append(_issued(path))
        return found


def read_names(names: Sequence[str], *, client: bool) -> tuple[str, list[x509.GeneralName]]:
    """Return the file name for a certificate and the names in it. Raises InvalidInput for malformed names."""
    if not names:
        raise InvalidInput("a certificate needs at least one name, found none.")
    identities = [_client_name(one) if client else _server_name(one) for one in names]
    file = names[0].replace("*", "_").replace(":", "_")
    if file == CA:
        raise InvalidInput(f"{file!r} is the authority's own name here: choose another.")
    return file, identities


def _issued(path: Path) -> Issued:
    certificate = _read_certificate(path)
    identities = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    names = tuple(str(identity.value) for identity in identities)
    client = ExtendedKeyUsageOID.CLIENT_AUTH in usages
    return Issued(path.stem, path, path.with_suffix(".key"), names, client, certificate.not_valid_after_utc)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    start = now.astimezone(UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _SKEW)
        .not_valid_after(start + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _constraints(only: Sequence[str]) -> x509.NameConstraints:
    """Return RFC 5280 name constraints. An unlisted kind of name would be unconstrained, so it is excluded."""
    networks = [network for network in map(_network, only) if network is not None]
    domains = [text for text in only if _network(text) is None]
    for domain in domains:
        if not _HOST.fullmatch(domain) or domain.startswith("*"):
            raise InvalidInput(
                f"{domain[:80]!r} is neither a domain nor a network, such as example.org or 10.0.0.0/8."
            )
    permitted = [*map(x509.DNSName, domains), *map(x509.IPAddress, networks)]
    excluded: list[x509.GeneralName] = []
    if not networks:
        excluded += [x509.IPAddress(ipaddress.ip_network(every)) for every in ("0.0.0.0/0", "::/0")]
    return x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=excluded or None)


def _network(text: str) -> _Subtree | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _server_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not _HOST.fullmatch(text) or len(text) > 253:
        raise InvalidInput(f"{text[:80]!r} is neither a host name in lower case nor an address.")
    return x509.DNSName(text)


def _client_name(text: str) -> x509.GeneralName:
    if not _NAME.fullmatch(text):
        raise InvalidInput(f"{text[:80]!r} cannot name a client: use lower-case letters, digits, dots, hyphens, @.")
    return x509.RFC822Name(text) if "@" in text else x509.DNSName(text)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"cannot read the certificate {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InvalidInput(f"{path} is not a PEM certificate. Restore it from a backup.") from error


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    check_private(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        # `from None`: a parser's error may contain what it read.
        raise InvalidInput(
            f"{path} is not a PEM private key without a password. Restore it from a backup."
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidInput(f"{path} is not an elliptic-curve key. Restore it from a backup.")
    return key
