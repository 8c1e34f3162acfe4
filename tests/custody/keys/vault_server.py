"""A transit engine as Vault's API documents it, over real HTTP(S): versions, policies, and ways to fail or to lie."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

TOKEN = "hvs.test-token-of-this-server"


def _b64(data):
    return base64.b64encode(data).decode()


class Fail(Exception):  # noqa: N818 - an answer, with its status
    def __init__(self, status, *errors):
        self.status, self.errors = status, list(errors)


class Key:
    def __init__(self, kind, *, derived=False):
        self.kind, self.derived = kind, derived
        self.versions, self.min_decryption, self.deletable = {}, 1, False
        self.add()

    def add(self):
        make = {
            "aes256-gcm96": lambda: os.urandom(32),
            "ed25519": ed25519.Ed25519PrivateKey.generate,
            "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        }.get(self.kind, lambda: os.urandom(32))
        self.versions[self.latest + 1] = make()

    @property
    def latest(self):
        return max(self.versions, default=0)

    def secret(self, version, context):
        key = self.versions[version]
        if not self.derived:
            return key
        return HKDF(hashes.SHA256(), 32, None, context).derive(key)

    def about(self, name):
        keys = {}
        for number, key in self.versions.items():
            if self.kind == "ed25519":
                keys[str(number)] = {"public_key": _b64(key.public_key().public_bytes_raw()), "name": "ed25519"}
            elif self.kind == "ecdsa-p256":
                pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
                keys[str(number)] = {"public_key": pem, "name": "P-256"}
            else:
                keys[str(number)] = 1700000000 + number
        return {
            "name": name,
            "type": self.kind,
            "latest_version": self.latest,
            "min_decryption_version": self.min_decryption,
            "deletion_allowed": self.deletable,
            "derived": self.derived,
            "keys": keys,
        }


class VaultServer:
    """`fail(status)` answers the next requests with it; `lie` changes what a path answers; `delay` holds back."""

    def __init__(self, *, mount="transit", context: ssl.SSLContext | None = None):
        self.mount, self.keys = mount, {}
        self.denied, self.failures, self.delay, self.lie = set(), [], 0.0, None
        self.requests, self.sealed, self.drip, self.connections = [], False, 0.0, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # as Go does, which Vault is written in

            def log_message(self, *_arguments):
                pass

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                status, document = outer.serve(self.command, self.path, body, self.headers)
                data = b"" if document is None else json.dumps(document).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    for at in range(len(data)) if outer.drip else [None]:
                        time.sleep(outer.drip)
                        self.wfile.write(data if at is None else data[at : at + 1])
                        self.wfile.flush()
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def setup(self):
                super().setup()
                outer.connections.append(self.connection)

            do_GET = do_POST = do_DELETE = do_LIST = answer  # noqa: N815 - the base class's names

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_arguments):  # refused handshakes are part of the tests
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_error):
        self.server.shutdown()
        self.server.server_close()

    def go(self):
        """Go away: no new connection, and those that are open are cut."""
        self.server.server_close()
        self.cut()

    def cut(self):
        """Close every open connection, as a server does with one that was idle for long."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    def serve(self, method, path, body, headers):
        time.sleep(self.delay)
        self.requests.append((method, path, body))
        try:
            data = self.routed(method, path, body, headers)
        except Fail as error:
            return error.status, {"errors": error.errors}
        return (204, None) if data is None else (200, {"data": data})

    def routed(self, method, path, body, headers):
        if self.failures:
            raise Fail(self.failures.pop(0), "made to fail")
        if self.sealed:
            raise Fail(503, "Vault is sealed")
        if headers.get("X-Vault-Token") != TOKEN:
            raise Fail(403, "permission denied")
        start = f"/v1/{self.mount}/"
        if not path.startswith(start):
            raise Fail(404, f'no handler for route "{path[4:]}". route entry not found.')
        parts = path[len(start) :].split("/")
        if parts[0] in self.denied:
            raise Fail(403, "1 error occurred:\n\t* permission denied\n\n")
        data = getattr(self, f"_{method.lower()}_{parts[0]}")(parts[1:], body)
        return data if self.lie is None else self.lie(parts, data)

    def _list_keys(self, _rest, _body):
        if not self.keys:
            raise Fail(404)
        return {"keys": sorted(self.keys)}

    def _get_keys(self, rest, _body):
        if rest[0] not in self.keys:
            raise Fail(404)
        return self.keys[rest[0]].about(rest[0])

    def _post_keys(self, rest, body):
        name, *verb = rest
        if not verb:
            if name not in self.keys:  # for a key that is there Vault says yes and changes nothing
                self.keys[name] = Key(body.get("type", "aes256-gcm96"), derived=body.get("derived", False))
            return self.keys[name].about(name)
        if name not in self.keys:
            raise Fail(400, "no existing key named " + name + " could be found")
        key = self.keys[name]
        if verb == ["rotate"]:
            key.add()
            return key.about(name)
        if verb == ["config"]:
            key.deletable = body.get("deletion_allowed", key.deletable)
            key.min_decryption = body.get("min_decryption_version", key.min_decryption)
            return key.about(name)
        raise Fail(404)

    def _delete_keys(self, rest, _body):
        key = self.keys.get(rest[0])
        if key is None:
            raise Fail(400, "error deleting policy " + rest[0] + ": could not delete key; not found")
        if not key.deletable:
            raise Fail(400, f"error deleting policy {rest[0]}: deletion is not allowed for this key")
        del self.keys[rest[0]]

    def _post_encrypt(self, rest, body):
        key = self.keys.setdefault(rest[0], Key("aes256-gcm96"))  # Vault makes the key when the token may
        if key.kind != "aes256-gcm96":
            raise Fail(400, "message encryption not supported for key type " + key.kind)
        nonce = os.urandom(12)
        context = base64.b64decode(body.get("context", ""))
        if key.derived and not context:
            raise Fail(400, "missing 'context' for key derivation; the key was created using a derived key")
        secret = key.secret(key.latest, context)
        associated = base64.b64decode(body.get("associated_data", ""))
        sealed = nonce + AESGCM(secret).encrypt(nonce, base64.b64decode(body["plaintext"]), associated)
        return {"ciphertext": f"vault:v{key.latest}:{_b64(sealed)}", "key_version": key.latest}

    def _post_decrypt(self, rest, body):
        key = self.keys.get(rest[0])
        if key is None:
            raise Fail(400, "encryption key not found")
        head, version, text = body["ciphertext"].split(":", 2)
        number = int(version[1:])
        if head != "vault" or number > key.latest:
            raise Fail(400, "invalid ciphertext: version is too new")
        if number < key.min_decryption:
            raise Fail(400, "ciphertext or signature version is disallowed by policy (too old)")
        sealed = base64.b64decode(text)
        secret = key.secret(number, base64.b64decode(body.get("context", "")))
        try:
            plain = AESGCM(secret).decrypt(
                sealed[:12], sealed[12:], base64.b64decode(body.get("associated_data", ""))
            )
        except (InvalidTag, ValueError):
            raise Fail(400, "cipher: message authentication failed") from None
        return {"plaintext": _b64(plain)}

    def _post_sign(self, rest, body):
        key = self.keys.get(rest[0])
        if key is None:
            raise Fail(400, "signing key not found")
        number = body.get("key_version") or key.latest
        message = base64.b64decode(body["input"])
        if key.kind == "ed25519":
            signature = key.versions[number].sign(message)
        elif key.kind == "ecdsa-p256":
            assert body["marshaling_algorithm"] == "asn1"
            signature = key.versions[number].sign(message, ec.ECDSA(hashes.SHA256()))
        else:
            raise Fail(400, f"key type {key.kind} does not support signing")
        return {"signature": f"vault:v{number}:{_b64(signature)}"}
