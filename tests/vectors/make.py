"""Make the small twins of the published vectors, from the standards and without Hauberk. See README.md beside this.

`python tests/vectors/make.py` writes the files; `logs(folder)` writes the logs, which the tests call when they run,
because a log of 70,000 entries is too large to commit.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

HERE = Path(__file__).parent
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def b64(data):
    return base64.b64encode(data).decode()


def write(name, value):
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def flip(data, bit=0):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def case(number, comment, result, **fields):
    shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}
    return {"tcId": number, "comment": comment, "result": result, **shown}


def numbered(cases):
    return [case(number, *parts, **fields) for number, (parts, fields) in enumerate(cases, 1)]


# --- AES-GCM, AES-GCM-HKDF streams (Tink), HKDF (RFC 5869) ------------------------------------------------------


def tink_streaming(key, hash_name, derived, segment):
    from tink import secret_key_access, streaming_aead
    from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

    streaming_aead.register()
    proto = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(key_value=key)
    proto.params.ciphertext_segment_size = segment
    proto.params.derived_key_size = derived
    proto.params.hkdf_hash_type = getattr(common_pb2, hash_name)
    kind = "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey"
    return tink_primitive(kind, proto, tink_pb2, secret_key_access, streaming_aead.StreamingAead)


def tink_primitive(kind, proto, tink_pb2, secret_key_access, wanted):
    import tink

    keyset = tink_pb2.Keyset(primary_key_id=1)
    key = keyset.key.add(key_id=1, status=tink_pb2.ENABLED, output_prefix_type=tink_pb2.RAW)
    key.key_data.type_url, key.key_data.value = kind, proto.SerializeToString()
    key.key_data.key_material_type = tink_pb2.KeyData.SYMMETRIC
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(wanted)


class _Keep(io.BytesIO):
    """A sink whose content survives being closed, since Tink closes what it writes to."""

    def close(self):
        self.data = self.getvalue()
        super().close()


def streams():
    vectors = []
    shapes = [
        ("SHA1", 16, 16, 64, 100),
        ("SHA256", 16, 16, 64, 0),
        ("SHA256", 32, 16, 128, 1),
        ("SHA256", 32, 32, 64, 24 - 16),
        ("SHA512", 32, 32, 128, 300),
        ("SHA512", 64, 16, 64, 16 + 48),
    ]
    for number, (name, size, derived, segment, length) in enumerate(shapes):
        key, plain = hashlib.sha512(b"key %d" % number).digest()[:size], bytes(i * 7 % 256 for i in range(length))
        associated = b"twin %d" % number
        sink = _Keep()
        with tink_streaming(key, name, derived, segment).new_encrypting_stream(sink, associated) as stream:
            stream.write(plain)
        vectors.append({
            "id": number, "key_size": size, "hkdf_hash": name, "derived_key_size": derived,
            "ciphertext_segment_size": segment, "key_hex": key.hex(), "plaintext_hex": plain.hex(),
            "associated_data_hex": associated.hex(), "ciphertext_hex": sink.data.hex(),
        })  # fmt: skip
    write("aead/tink-aes-gcm-hkdf-streaming.json", {"vectors": vectors})


def aes_gcm():
    from tink import aead, secret_key_access
    from tink.proto import aes_gcm_pb2, tink_pb2

    aead.register()
    groups = []
    for size in (16, 32):
        key = hashlib.sha256(b"aes %d" % size).digest()[:size]
        kind = "type.googleapis.com/google.crypto.tink.AesGcmKey"
        proto = aes_gcm_pb2.AesGcmKey(key_value=key)
        sealer = tink_primitive(kind, proto, tink_pb2, secret_key_access, aead.Aead)
        cases = []
        for length in (0, 1, 15, 16, 17, 64, 255):
            plain, associated = bytes(range(length)), b"context" * (length % 3)
            sealed = sealer.encrypt(plain, associated)
            iv, ct, tag = sealed[:12], sealed[12:-16], sealed[-16:]
            fields = {"key": key, "iv": iv, "aad": associated, "msg": plain, "ct": ct, "tag": tag}
            cases.append(((f"{length} bytes", "valid"), fields))
            bad = {
                "first bit of the tag": {"tag": flip(tag)},
                "last bit of the tag": {"tag": flip(tag, 127)},
                "tag of zeros": {"tag": bytes(16)},
                "nonce": {"iv": flip(iv, 95)},
                "associated data extended": {"aad": associated + b"\0"},
                "another key": {"key": flip(key)},
            } | ({"first bit of the ciphertext": {"ct": flip(ct)}} if ct else {})
            cases += [((why, "invalid"), fields | change) for why, change in bad.items()]
        shape = {"keySize": 8 * size, "ivSize": 96, "tagSize": 128}
        groups.append(shape | {"tests": numbered(cases)})
    write("aead/wycheproof/aes_gcm_test.json", {"testGroups": groups})


def hkdf(name, ikm, salt, info, size):
    """Derive a key as RFC 5869, section 2, says."""
    length = hashlib.new(name).digest_size
    key = hmac.new(salt or bytes(length), ikm, name).digest()
    block, out, count = b"", b"", 0
    while len(out) < size:
        count += 1
        block = hmac.new(key, block + info + bytes([count]), name).digest()
        out += block
    return out[:size]


def hkdf_cases():
    for name in ("sha1", "sha256", "sha512"):
        length, cases = hashlib.new(name).digest_size, []
        for size in (1, 16, 32, length, length + 1, 200):
            for salt, info in ((b"", b""), (b"salt", b""), (b"", b"info"), (bytes(range(80)), bytes(range(80)))):
                ikm = hashlib.sha512(b"%d" % size).digest()[: 16 + size % 40]
                fields = {"ikm": ikm, "salt": salt, "info": info, "size": size}
                cases.append(((f"{size} bytes", "valid"), fields | {"okm": hkdf(name, ikm, salt, info, size)}))
        size = 255 * length
        fields = {"ikm": b"ikm", "salt": b"", "info": b"", "size": size, "okm": hkdf(name, b"ikm", b"", b"", size)}
        cases.append((("the most that RFC 5869 allows", "valid"), fields))
        for size in (255 * length + 1, 256 * length):
            fields = {"ikm": b"ikm", "salt": b"", "info": b"", "size": size, "okm": b""}
            cases.append((("more than RFC 5869 allows", "invalid"), fields))
        write(f"aead/wycheproof/hkdf_{name}_test.json", {"testGroups": [{"tests": numbered(cases)}]})


# --- signatures: RFC 8032 Ed25519, ECDSA P-256 with the nonce of RFC 6979 -----------------------------------------


def ed25519_cases():
    private = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"twin").digest())
    public, cases = private.public_key(), []
    for length in (0, 1, 32, 200):
        message = bytes(range(length))
        sig = private.sign(message)
        r, s = sig[:32], int.from_bytes(sig[32:], "little")
        cases.append(((f"message of {length} bytes", "valid"), {"msg": message, "sig": sig}))
        bad = {
            "R altered": flip(sig, 3),
            "S altered": flip(sig, 300),
            "S + L, the same residue": r + (s + ED25519_ORDER).to_bytes(32, "little"),
            "S = 0": r + bytes(32),
            "S = L": r + ED25519_ORDER.to_bytes(32, "little"),
            "R and S zero": bytes(64),
            "S and R exchanged": sig[32:] + r,
            "truncated by one byte": sig[:-1],
            "one byte too long": sig + b"\0",
            "empty": b"",
        }
        cases += [((why, "invalid"), {"msg": message, "sig": wrong}) for why, wrong in bad.items()]
        cases.append((("another message", "invalid"), {"msg": message + b"\0", "sig": sig}))
    write("aead/wycheproof/ed25519_test.json", {"testGroups": [public_of(public) | {"tests": numbered(cases)}]})


def public_of(public):
    return {
        "publicKeyDer": public.public_bytes(DER, SPKI).hex(),
        "publicKeyPem": public.public_bytes(PEM, SPKI).decode(),
    }


def nonce(secret, digest):
    """Return the first nonce of RFC 6979, section 3.2, for P-256 and SHA-256."""
    seed = secret.to_bytes(32, "big") + (int.from_bytes(digest, "big") % P256_ORDER).to_bytes(32, "big")
    v, k = b"\1" * 32, bytes(32)
    for mark in (b"\0", b"\1"):
        k = hmac.new(k, v + mark + seed, "sha256").digest()
        v = hmac.new(k, v, "sha256").digest()
    v = hmac.new(k, v, "sha256").digest()
    return int.from_bytes(v, "big")  # the chance that it is not below the order is 2^-32; verified below


def ecdsa(secret, message):
    digest = hashlib.sha256(message).digest()
    k = nonce(secret, digest)
    r = ec.derive_private_key(k, ec.SECP256R1()).public_key().public_numbers().x % P256_ORDER
    s = pow(k, -1, P256_ORDER) * (int.from_bytes(digest, "big") + r * secret) % P256_ORDER
    key = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
    key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hash_of()))
    return r, s


def hash_of():
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256()


def plain(r, s):
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def ecdsa_cases():
    secret = 0xC0FFEE
    group = public_of(ec.derive_private_key(secret, ec.SECP256R1()).public_key())
    der_cases, raw_cases = [], []
    encode = utils.encode_dss_signature
    for length in (0, 1, 32, 200):
        message = bytes(range(length))
        r, s = ecdsa(secret, message)
        pairs = {
            "r = 0": (0, s), "s = 0": (r, 0), "r + 1": (r + 1, s), "s + 1": (r, s + 1), "exchanged": (s, r),
            "s = order": (r, P256_ORDER), "r = order": (P256_ORDER, s), "both 1": (1, 1),
        }  # fmt: skip
        for cases, form in ((der_cases, encode), (raw_cases, plain)):
            good = form(r, s)
            cases.append(((f"message of {length} bytes", "valid"), {"msg": message, "sig": good}))
            cases.append((("n - s, allowed by ECDSA", "valid"), {"msg": message, "sig": form(r, P256_ORDER - s)}))
            bad = {why: form(*pair) for why, pair in pairs.items()}
            bad |= {"truncated": good[:-1], "extended": good + b"\0", "empty": b"", "bit": flip(good, 8 * 40)}
            cases += [((why, "invalid"), {"msg": message, "sig": wrong}) for why, wrong in bad.items()]
            cases.append((("another message", "invalid"), {"msg": message + b"\0", "sig": good}))
        good = encode(r, s)
        loose = {
            "r + order in DER": encode(r + P256_ORDER, s),
            "the length in two bytes": good[:1] + b"\x81" + good[1:],
            "a set, not a sequence": b"\x31" + good[1:],
            "indefinite length": b"\x30\x80" + good[2:] + b"\0\0",
        }
        der_cases += [((why, "invalid"), {"msg": message, "sig": wrong}) for why, wrong in loose.items()]
    for name, cases in (("", der_cases), ("_p1363", raw_cases)):
        groups = [group | {"tests": numbered(cases)}]
        write(f"aead/wycheproof/ecdsa_secp256r1_sha256{name}_test.json", {"testGroups": groups})


def dsse():
    body, kind, secret = "hello twin", "http://example.com/Twin", 0xD55E
    pae = f"DSSEv1 {len(kind)} {kind} {len(body)} {body}"
    public = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
    signature = {"sig": b64(plain(*ecdsa(secret, pae.encode())))}
    envelope = {"payload": b64(body.encode()), "payloadType": kind, "signatures": [signature]}
    vector = {"payload_type": kind, "serialized_body": body, "pae": pae, "key": {"d": str(secret)}}
    write("dsse/protocol/vector.json", vector)
    write("dsse/protocol/envelope.json", envelope)
    write("dsse/protocol/public-key.pem", public.public_bytes(PEM, SPKI).decode())


# --- RFC 6962, section 2.1, as it is written there ----------------------------------------------------------------


def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split(count):
    """Return the largest power of two that is smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def mth(leaves):
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node(mth(leaves[:k]), mth(leaves[k:]))


def path(m, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(start, end, leaves, known):
    """SUBTREE_SUBPROOF of draft-ietf-plants-merkle-tree-certs; with start = 0 it is SUBPROOF of RFC 6962."""
    if (start, end) == (0, len(leaves)):
        return [] if known else [mth(leaves)]
    k = split(len(leaves))
    if end <= k:
        return [*subproof(start, end, leaves[:k], known), mth(leaves[k:])]
    if start >= k:
        return [*subproof(start - k, end - k, leaves[k:], known), mth(leaves[:k])]
    return [*subproof(0, end - k, leaves[k:], False), mth(leaves[:k])]


def spoiled(proof):
    """Each way in which a proof's list of hashes can be wrong."""
    if proof:
        yield "truncated", proof[:-1]
        yield "first hash missing", proof[1:]
        for place in range(len(proof)):
            yield f"hash {place} altered", [*proof[:place], flip(proof[place], 255), *proof[place + 1 :]]
        yield "a hash too short", [proof[0][:-1], *proof[1:]]
    if len(proof) > 1:
        yield "reversed", proof[::-1]
    yield "extended at the end", [*proof, bytes(32)]
    yield "extended at the front", [bytes(32), *proof]


def shown(fields, why, wrong):
    return {
        name: [b64(item) for item in value]
        if isinstance(value, list)
        else b64(value)
        if isinstance(value, bytes)
        else value
        for name, value in fields.items()
    } | {"desc": why, "wantErr": wrong}


def with_bad(good, changes):
    yield shown(good, "good", False)
    for why, proof in spoiled(good["proof"]):
        yield shown(good | {"proof": proof}, why, True)
    for why, change in changes.items():
        yield shown(good | change, why, True)


LEAVES = [leaf(b"leaf %d" % number) for number in range(21)]


def proofs():
    write("merkle/rfc6962-proofs/inclusion.json", [*inclusion_cases("leafIdx", "treeSize")])
    write("merkle/rfc6962-proofs/consistency.json", [*consistency_cases()])
    write("merkle/rfc6962-proofs/subtreeinclusion.json", [*subtree_inclusion_cases()])
    write("merkle/rfc6962-proofs/subtreeconsistency.json", [*subtree_consistency_cases()])


def inclusion_cases(at, size):
    for count, index in ((1, 0), (2, 1), (3, 2), (7, 3), (8, 5), (13, 12), (21, 0), (21, 20)):
        leaves = LEAVES[:count]
        good = {
            at: index,
            size: count,
            "root": mth(leaves),
            "leafHash": leaves[index],
            "proof": path(index, leaves),
        }
        bad = {
            "wrong leaf": {"leafHash": leaf(b"another")},
            "wrong root": {"root": leaf(b"another")},
            "root of the empty tree": {"root": mth([])},
            "index beyond the tree": {at: count},
            "size 0": {size: 0},
            "leaf hash too short": {"leafHash": leaves[index][:-1]},
        }
        if count > 1:
            bad["another index"] = {at: (index + 1) % count}
        yield from with_bad(good, bad)
    empty = {at: 0, size: 0, "root": mth([]), "leafHash": LEAVES[0], "proof": []}
    yield shown(empty, "no leaf is in the empty tree", True)


def consistency_cases():
    for old, new in ((1, 1), (1, 2), (2, 3), (3, 7), (4, 8), (6, 8), (7, 21), (16, 21), (20, 21), (21, 21)):
        proof = subproof(0, old, LEAVES[:new], True)
        roots = {"root1": mth(LEAVES[:old]), "root2": mth(LEAVES[:new])}
        bad = {"wrong old root": {"root1": leaf(b"x")}, "wrong new root": {"root2": leaf(b"x")}}
        if old < new:
            bad["roots exchanged"] = {"root1": roots["root2"], "root2": roots["root1"]}
            bad["sizes exchanged"] = {"size1": new, "size2": old}
        yield from with_bad({"size1": old, "size2": new, "proof": proof} | roots, bad)


SPANS = ((0, 4, 7), (4, 8, 13), (8, 12, 21), (8, 11, 21), (16, 21, 21), (0, 8, 8), (12, 14, 20))


def subtree_inclusion_cases():
    for start, end, _ in SPANS:
        leaves = LEAVES[start:end]
        for index in {start, end - 1}:
            good = {
                "leafIdx": index, "start": start, "end": end, "root": mth(leaves), "leafHash": LEAVES[index],
                "proof": path(index - start, leaves),
            }  # fmt: skip
            bad = {
                "wrong leaf": {"leafHash": leaf(b"another")},
                "wrong root": {"root": leaf(b"another")},
                "index beyond the subtree": {"leafIdx": end},
                "another index": {"leafIdx": start if index == end - 1 else index + 1},
                "the subtree is empty": {"end": start},
            }
            yield from with_bad(good, bad | ({"index before the subtree": {"leafIdx": start - 1}} if start else {}))
    good = {"leafIdx": 3, "start": 2, "end": 5, "root": mth(LEAVES[2:5]), "leafHash": LEAVES[3], "proof": []}
    yield shown(good, "3 leaves from 2 on are no subtree", True)


def subtree_consistency_cases():
    for start, end, size in SPANS:
        proof = subproof(start, end, LEAVES[:size], True)
        roots = {"root1": mth(LEAVES[start:end]), "root2": mth(LEAVES[:size])}
        bad = {
            "wrong root of the subtree": {"root1": leaf(b"x")},
            "wrong root of the tree": {"root2": leaf(b"x")},
            "the tree ends before the subtree": {"size": end - 1},
        }
        yield from with_bad({"start": start, "end": end, "size": size, "proof": proof} | roots, bad)


def tree():
    entries = [b"", b"\0", b"a", b"ab", b"abc", b"\xff" * 31, b"\1" * 64, "é".encode()]
    rows = [[leaf(entry) for entry in entries]]
    while len(rows[-1]) > 1:
        rows.append([node(*rows[-1][place : place + 2]) for place in range(0, len(rows[-1]), 2)])
    write("merkle/rfc6962-tree.json", {
        "leaf_inputs_hex": [entry.hex() for entry in entries],
        "node_hashes_hex": [[item.hex() for item in row] for row in rows],
        "root_hashes_hex_by_tree_size": [mth(rows[0][:size]).hex() for size in range(9)],
    })  # fmt: skip


# --- C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-tiles, tlog-proof ------------------------------------


class Key:
    """An Ed25519 key under a name, and the lines that it signs."""

    def __init__(self, name, kind=1):
        self.name, self.kind = name, kind
        self.private = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        self.material = bytes([kind]) + self.private.public_key().public_bytes(*RAW)
        self.id = hashlib.sha256(name.encode() + b"\n" + self.material).digest()[:4]

    @property
    def vkey(self):
        return f"{self.name}+{self.id.hex()}+{b64(self.material)}"

    def line(self, text, time=None):
        if time is None:
            return f"— {self.name} {b64(self.id + self.private.sign(text.encode()))}\n"
        signature = self.private.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
        return f"— {self.name} {b64(self.id + time.to_bytes(8, 'big') + signature)}\n"


def checkpoint(origin, size, root):
    return f"{origin}\n{size}\n{b64(root)}\n"


def sumdb():
    one, two = Key("twin.example/one"), Key("twin.example/two")
    text = "Text, with ünïcode,\n\nan empty line and a — dash.\n"
    first, second = one.line(text), two.line(text)
    good = text + "\n" + first
    raw = base64.b64decode(first.split(" ")[2])
    altered = good.replace(b64(raw), b64(flip(raw, 100)))
    other = f"{one.name}+{flip(one.id).hex()}+{b64(one.material)}"
    long = b64(one.material + b"\0")
    sumdb_cases = {
        "text and no signature line": text + "\n",
        "nothing": "",
        "last newline missing": good[:-1],
        "control character": "\x01" + good,
        "key name with a space": good.replace(one.name, "two words"),
        "a plus sign in the key name": good.replace(one.name, "a+b"),
        "a line after the signatures": good + "Unexpected.\n",
        "no empty line": text[:-1].replace("\n\n", "\n") + "\n" + first,
        "signature is not base64": good.replace(b64(raw), "!!!!"),
        "signature shorter than a key id": good.replace(b64(raw), b64(raw[:3])),
        "altered text": good.replace("Text", "text"),
        "another dash": good.replace("\n— ", "\n- "),
        "more than 100 signatures": text + "\n" + first * 101,
    }
    write("merkle/notes/go-sumdb-note.json", {
        "verifier_keys": {key.name: key.vkey for key in (one, two)},
        "good": [good, good + second],
        "wrong_signer": one.name,
        "wrong_signature": altered,
        "malformed": [{"why": why, "note": note} for why, note in sumdb_cases.items()],
        "bad_verifier_keys": [
            other, f"{one.name}+{hash_id(one.name, one.material + bytes(1))}+{long}", "", "name", one.vkey[:-4],
            f"{one.name}+{hash_id(one.name, b'e' + one.material[1:])}+{b64(b'e' + one.material[1:])}",
        ],
    })  # fmt: skip


def hash_id(name, material):
    return hashlib.sha256(name.encode() + b"\n" + material).hexdigest()[:8]


LOG = "rome2026h1.example.org"  # the name of the published ones, so that one test reads both


def cosigned():
    ct = ec.derive_private_key(0x6962, ec.SECP256R1()).public_key().public_bytes(DER, SPKI)
    write("merkle/notes/cosigned-checkpoint-1.ct-log.json", {"key": b64(ct)})
    for number in (1, 2):
        text = checkpoint(LOG, 300, mth([leaf(entry) for entry in entries(300)]))
        witness = Key(f"witness{number}.example.org", 4)
        lines = witness.line(text, 1767139200 + number)
        if number == 1:  # an RFC 6962 signature, type 5: time in ms, hash and signature algorithm, length, ECDSA
            key_id = hashlib.sha256(LOG.encode() + b"\n\5" + hashlib.sha256(ct).digest()).digest()[:4]
            signature = utils.encode_dss_signature(*ecdsa(0x6962, b"a tree head"))
            body = (1767139200000).to_bytes(8, "big") + b"\4\3" + len(signature).to_bytes(2, "big") + signature
            lines = f"— {LOG} {b64(key_id + body)}\n" + lines
        write(f"merkle/notes/cosigned-checkpoint-{number}.txt", text + "\n" + lines)
        write(f"merkle/notes/cosigned-checkpoint-{number}.witness-vkey.txt", witness.vkey + "\n")


def entries(size):
    """The rule of the large log: entry i is the first i mod 32 bytes of SHA-256 of i in decimal."""
    return [hashlib.sha256(str(index).encode()).digest()[: index % 32] for index in range(size)]


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def tile(folder, name, items, widths):
    """Write the tiles of one level: each full one, and the last as a partial tile of each of `widths`."""
    for number in range(len(items) // 256):
        put(folder / f"tile/{name}/{number:03}", b"".join(items[256 * number : 256 * number + 256]))
    full, last = divmod(len(items), 256)
    for width in widths or ([last] if last else []):
        put(folder / f"tile/{name}/{full:03}.p/{width}", b"".join(items[256 * full : 256 * full + width]))


def log(folder, name, size, *, marks=(), widths=(), bundles=True):
    """Write a log as tlog-tiles lays it out. Returns the text of its checkpoint; `marks` get one of their own."""
    key, data = Key(name), entries(size)
    if bundles:
        tile(folder, "entries", [len(entry).to_bytes(2, "big") + entry for entry in data], widths)
    row, level = [leaf(entry) for entry in data], 0
    leaves = row
    while row:
        tile(folder, str(level), row, widths if level == 0 else ())
        row = [mth(row[place : place + 256]) for place in range(0, len(row) - 255, 256)]
        level += 1
    for mark in marks:
        text = checkpoint(name, mark, mth(leaves[:mark]))
        put(folder / f"checkpoint.{mark}", f"{text}\n{key.line(text)}".encode())
    text = checkpoint(name, size, mth(leaves))
    put(folder / "checkpoint", f"{text}\n{key.line(text)}".encode())
    put(folder / "log.vkey.txt", (key.vkey + "\n").encode())
    return text


def logs(folder):
    """Write the twins of the published logs below `folder`, under their names. Returns each one's root, base64."""
    small = log(folder / "tlog-tessera-15", "twin.example/small", 15, marks=range(16), widths=range(1, 16))
    marks = (1, 255, 256, 257, 65535, 65536, 65537, 69999)
    large = log(folder / "tlog-generated-70000", "twin.example/large", 70000, marks=marks)
    mirror = folder / "tlog-sunlight-mirror-300"
    text = log(mirror, LOG, 300, bundles=False)
    key = Key("mirror.example.org", 4)
    put(mirror / "checkpoint", f"{text}\n{key.line(text, 1767139200)}".encode())
    put(mirror / "mirror.vkey.txt", (key.vkey + "\n").encode())
    return {path: text.splitlines()[2] for path, text in (("small", small), ("large", large), ("mirror", text))}


def proof():
    """One offline proof, of entry 200 among 300, as c2sp.org/tlog-proof lays it out."""
    data, key = entries(300), Key("twin.example/proof")
    leaves = [leaf(entry) for entry in data]
    text = checkpoint(key.name, 300, mth(leaves))
    lines = ["c2sp.org/tlog-proof@v1", "extra " + b64(b"twin"), "index 200", *(b64(h) for h in path(200, leaves))]
    whole = "\n".join(lines) + "\n\n" + text + "\n" + key.line(text)
    write("merkle/notes/tlog-proof.json", {"vkey": key.vkey, "entry_hex": data[200].hex(), "proof": whole})


# --- in-toto and SLSA: statements and field names of the specifications ----------------------------------------------


def in_toto():
    digest = hashlib.sha256(b"twin").hexdigest()
    base = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://twin.example/kind/v1"}
    predicate = {"made": {"by": ["hand", 1, None, True]}}
    subjects = {
        "whole": [{"name": "a.txt", "digest": {"sha256": digest, "sha512": "0" * 128}}],
        "two-subjects": [{"name": name, "digest": {"sha256": digest}} for name in ("b", "c/d")],
        "elided": [{"name": "a", "digest": {"sha256": "4faeb1b2..."}}],
        "upper-case": [{"name": "a", "digest": {"sha256": digest.upper()}}],
        "no-sha256": [{"name": "a", "digest": {"gitCommit": digest[:40]}}],
    }
    for name, value in subjects.items():
        write(f"in-toto/examples/{name}.json", base | {"subject": value, "predicate": predicate})
    old = {"_type": "https://in-toto.io/Statement/v0.1", "subject": subjects["whole"], "predicate": predicate}
    write("in-toto/examples/old.json", old | {"predicateType": "https://twin.example/kind/v1"})
    write("in-toto/slsa/slsa_predicate_v1_0.json", {
        "buildDefinition": {
            "buildType": "https://twin.example/build/v1",
            "externalParameters": {"ref": "refs/tags/1", "files": ["a", "b"]},
            "internalParameters": {"runner": "local"},
            "resolvedDependencies": [{"uri": "git+https://twin.example", "digest": {"gitCommit": digest[:40]}}],
        },
        "runDetails": {
            "builder": {"id": "https://twin.example/builder"}, "metadata": {"invocationId": "https://twin.example/1"},
        },
    })  # fmt: skip
    for name, messages in MESSAGES.items():
        text = "".join(
            f"message {message} {{\n"
            + "".join(f"  string {f} = {n};\n" for n, f in enumerate(fields.split(), 1))
            + "}\n"
            for message, fields in messages.items()
        )
        write(f"in-toto/protos/in_toto_attestation/predicates/{name}.proto", text)


# The field names that slsa.dev/spec/v1.0/provenance and /verification_summary list.
MESSAGES = {
    "vsa/v1/vsa": {
        "VerificationSummary": "verifier time_verified resource_uri policy input_attestations verification_result "
        "verified_levels dependency_levels slsa_version"
    },
    "provenance/v1/provenance": {
        "Provenance": "build_definition run_details",
        "BuildDefinition": "build_type external_parameters internal_parameters resolved_dependencies",
        "RunDetails": "builder metadata byproducts",
        "Builder": "id version builder_dependencies",
        "BuildMetadata": "invocation_id started_on finished_on",
    },
}


def main():
    for step in (
        streams,
        aes_gcm,
        hkdf_cases,
        ed25519_cases,
        ecdsa_cases,
        dsse,
        proofs,
        tree,
        sumdb,
        cosigned,
        proof,
    ):
        step()
    in_toto()
    with tempfile.TemporaryDirectory() as folder:
        write("merkle/roots.json", logs(Path(folder)))


if __name__ == "__main__":
    main()
