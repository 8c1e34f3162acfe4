"""The stream against Tink and its vectors, and one test for each way to cheat."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tracemalloc

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.core.errors import HauberkError, InvalidInput, NotProven
from hauberk.core.progress import Quiet
from hauberk.custody import streams
from hauberk.custody._segments import AES256_GCM_HKDF_1MB, Cipher, Parameters, derive

KEY = bytes(range(32))
SMALL = Parameters(key_size=32, hash="SHA256", derived_key_size=32, segment_size=64)
FIRST, SEGMENT = SMALL.segment_size - SMALL.header_size - 16, SMALL.segment_size - 16


def reads(data):
    def read(offset, view):
        assert offset + len(view) <= len(data)
        view[:] = data[offset : offset + len(view)]

    return read


def writes(into):
    def write(offset, view):
        into[offset : offset + len(view)] = view

    return write


def seal(plain, *, key=KEY, associated=b"aad", parameters=SMALL, **more):
    sealed = bytearray(parameters.sealed_size(len(plain)))
    streams.encrypt(
        key, reads(plain), writes(sealed), size=len(plain), associated=associated, parameters=parameters, **more
    )
    return bytes(sealed)


def unseal(sealed, *, key=KEY, associated=b"aad", parameters=SMALL):
    plain = bytearray(max(0, parameters.plain_size(len(sealed))))
    size = streams.decrypt(
        key, reads(sealed), writes(plain), size=len(sealed), associated=associated, parameters=parameters
    )
    assert size == len(plain)
    return bytes(plain)


def reader(sealed, *, key=KEY, associated=b"aad", parameters=SMALL, read=None):
    return streams.Reader(
        key, read or reads(sealed), size=len(sealed), associated=associated, parameters=parameters
    )


def swapped(sealed, a, b):
    """The stream with two whole inner segments exchanged."""
    size = SMALL.segment_size
    parts = [sealed[i : i + size] for i in range(0, len(sealed), size)]
    parts[a], parts[b] = parts[b], parts[a]
    return b"".join(parts)


# --- the format ------------------------------------------------------------------------------------------------


def test_tinks_published_vectors_open_and_come_out_byte_for_byte_when_sealed_with_their_header(either, enough):
    cases = json.loads((either / "aead" / "tink-aes-gcm-hkdf-streaming.json").read_text())["vectors"]
    assert enough(len(cases), 8)
    for case in cases:
        parameters = Parameters(
            case["key_size"], case["hkdf_hash"], case["derived_key_size"], case["ciphertext_segment_size"]
        )
        key, plain, associated, sealed = (
            bytes.fromhex(case[f"{name}_hex"]) for name in ("key", "plaintext", "associated_data", "ciphertext")
        )
        assert unseal(sealed, key=key, associated=associated, parameters=parameters) == plain
        header = sealed[: parameters.header_size]
        again = bytearray(len(sealed))
        streams._encrypt_under(
            header,
            Cipher(key, associated, header, parameters),
            reads(plain),
            writes(again),
            size=len(plain),
            parameters=parameters,
            seen=None,
            task=Quiet(),
        )
        assert bytes(again) == sealed


def test_every_bit_of_tinks_vectors_matters(either):
    cases = json.loads((either / "aead" / "tink-aes-gcm-hkdf-streaming.json").read_text())["vectors"]
    for case in cases:
        parameters = Parameters(
            case["key_size"], case["hkdf_hash"], case["derived_key_size"], case["ciphertext_segment_size"]
        )
        key, associated = bytes.fromhex(case["key_hex"]), bytes.fromhex(case["associated_data_hex"])
        sealed = bytearray.fromhex(case["ciphertext_hex"])
        for bit in range(len(sealed) * 8):
            sealed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(NotProven):
                unseal(sealed, key=key, associated=associated, parameters=parameters)
            sealed[bit // 8] ^= 1 << bit % 8


def test_streams_of_one_mebibyte_segments_made_by_tink_open(vectors):
    folder = vectors / "aead" / "tink-1mb-generated"
    about = json.loads((folder / "vectors.json").read_text())
    key, associated = bytes.fromhex(about["key_hex"]), bytes.fromhex(about["associated_data_hex"])
    for case in about["vectors"]:
        sealed = (folder / case["file"]).read_bytes()
        plain = unseal(sealed, key=key, associated=associated, parameters=AES256_GCM_HKDF_1MB)
        assert len(plain) == case["plaintext_bytes"]
        assert hashlib.sha256(plain).hexdigest() == case["plaintext_sha256"]
        assert AES256_GCM_HKDF_1MB.count(len(sealed)) == case["segments"]


@pytest.mark.parametrize("size", [0, 1, 2**20 - 56, 2**20 - 55, 3 * 2**20])
def test_tink_opens_ours_and_we_open_tinks(size):
    tink = pytest.importorskip("tink", reason="tink is not installed")
    from tink import secret_key_access, streaming_aead
    from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

    streaming_aead.register()
    proto = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        key_value=KEY,
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=2**20, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
        ),
    )
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(
        key_data=tink_pb2.KeyData(
            type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
            value=proto.SerializeToString(),
            key_material_type=tink_pb2.KeyData.SYMMETRIC,
        ),
        status=tink_pb2.ENABLED,
        key_id=1,
        output_prefix_type=tink_pb2.RAW,
    )
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    theirs = handle.primitive(streaming_aead.StreamingAead)

    plain = os.urandom(size)
    ours = seal(plain, parameters=AES256_GCM_HKDF_1MB)
    with theirs.new_decrypting_stream(io.BytesIO(ours), b"aad") as opened:
        assert opened.read() == plain

    class Kept(io.BytesIO):
        def close(self):
            self.kept = self.getvalue()
            super().close()

    sink = Kept()
    with theirs.new_encrypting_stream(sink, b"aad") as stream:
        stream.write(plain)
    assert unseal(sink.kept, parameters=AES256_GCM_HKDF_1MB) == plain


@settings(deadline=None, max_examples=60)
@given(plain=st.binary(max_size=700), associated=st.binary(max_size=40))
def test_what_is_sealed_opens_again_and_is_shown_in_order(plain, associated):
    shown = bytearray()
    sealed = seal(plain, associated=associated, seen=shown.extend)
    assert unseal(sealed, associated=associated) == plain
    assert bytes(shown) == sealed
    assert SMALL.plain_size(len(sealed)) == len(plain)


def test_two_seals_of_the_same_bytes_share_neither_salt_nor_ciphertext():
    one, other = seal(b"x" * 100), seal(b"x" * 100)
    assert one[1:33] != other[1:33]
    assert one[40:] != other[40:]


def test_progress_reaches_the_end():
    task = Quiet()
    seal(bytes(500), task=task)
    assert task.done == 1.0


def test_memory_does_not_grow_with_the_stream():
    size = 96 * 2**20
    highest = {}
    for segments in (24, 96):
        tracemalloc.start()
        streams.encrypt(KEY, lambda _o, _v: None, lambda _o, _v: None, size=segments * size // 96)
        highest[segments] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert highest[96] < 1.2 * highest[24]
    assert highest[96] < 32 * 2**20


# --- ways to cheat ---------------------------------------------------------------------------------------------

PLAIN = bytes(range(256)) + b"the end"  # 7 segments of 74 bytes


def test_a_cut_at_a_segment_border_is_called_truncated():
    sealed = seal(PLAIN)
    for keep in range(1, 7):
        with pytest.raises(NotProven, match=rf"truncated: it ends after segment {keep},"):
            unseal(sealed[: keep * 64])


def test_every_other_cut_is_refused():
    sealed = seal(PLAIN)
    for size in range(len(sealed)):
        with pytest.raises(NotProven):
            unseal(sealed[:size])


def test_a_cut_inside_a_tag_or_the_header_is_called_truncated():
    sealed = seal(PLAIN)
    for size in (0, 20, 41, 55, 65, 79, 200):
        with pytest.raises(NotProven, match=r"truncated|cut off"):
            unseal(sealed[:size])


def test_segments_exchanged_are_called_out_of_order():
    with pytest.raises(NotProven, match=r"out of order: at position 3 is the one sealed as number 5"):
        unseal(swapped(seal(PLAIN), 2, 4))


def test_a_segment_left_out_or_repeated_is_called_out_of_order():
    sealed = seal(PLAIN)
    with pytest.raises(NotProven, match="omitted"):
        unseal(sealed[:128] + sealed[192:])
    with pytest.raises(NotProven, match="repeated"):
        unseal(sealed[:128] + sealed[64:])


def test_bytes_after_the_end_are_called_appended():
    plain = bytes(FIRST + 2 * SEGMENT)
    with pytest.raises(NotProven, match="continues past its end: segment 3 of 4"):
        unseal(seal(plain) + bytes(40))


def test_a_segment_from_another_stream_under_the_same_key_is_called_spliced():
    one, other = seal(PLAIN), seal(PLAIN)
    with pytest.raises(NotProven, match=r"segment 3 of 7 was changed or spliced in .* key .* right"):
        unseal(one[:128] + other[128:192] + one[192:])


def test_a_changed_first_segment_is_not_blamed_on_the_key():
    sealed = bytearray(seal(PLAIN))
    sealed[50] ^= 1
    with pytest.raises(NotProven, match=r"segment 1 of 7 was changed or spliced"):
        unseal(sealed)


@pytest.mark.parametrize("wrong", [{"key": bytes(32)}, {"associated": b"aae"}, {"associated": b""}])
def test_a_wrong_key_or_wrong_associated_data_is_called_so(wrong):
    with pytest.raises(NotProven, match=r"the key or the associated data is not what it was .* no segment"):
        unseal(seal(PLAIN), **wrong)
    with pytest.raises(NotProven, match=r"the key or the associated data .* or its only segment"):
        unseal(seal(b"short"), **wrong)


def test_the_first_failure_in_order_is_the_one_that_is_told():
    sealed = bytearray(seal(bytes(64 * 60)))
    for place in (55, 13, 40):
        sealed[place * 64 + 5] ^= 1
    for _ in range(5):
        with pytest.raises(NotProven, match="segment 14 of"):
            unseal(sealed)


def test_a_foreign_first_byte_is_named():
    with pytest.raises(NotProven, match="begins with byte 0x00, expected 0x28"):
        unseal(bytes(210))


def test_a_key_of_another_size_is_bad_input():
    with pytest.raises(InvalidInput, match="16 bytes, expected 32"):
        seal(b"", key=bytes(16))


@pytest.mark.parametrize("side", ["read", "write"])
def test_a_failing_disk_stops_the_stream_with_its_own_error(side):
    def fails(offset, _view):
        if offset > 5 * 2**20:
            raise OSError(28, "No space left on device")

    sides = {"read": lambda _o, _v: None, "write": lambda _o, _v: None, side: fails}
    with pytest.raises(OSError, match="No space left"):
        streams.encrypt(KEY, sides["read"], sides["write"], size=40 * 2**20)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_no_edit_of_a_stream_ever_opens(data):
    sealed = seal(PLAIN)
    start = data.draw(st.integers(0, len(sealed)))
    stop = data.draw(st.integers(start, len(sealed)))
    edited = sealed[:start] + data.draw(st.binary(max_size=80)) + sealed[stop:]
    if edited != sealed:
        with pytest.raises(HauberkError):
            unseal(edited)
        with pytest.raises(HauberkError):
            reader(edited).readall()


# --- the reader ------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    plain=st.binary(max_size=500), moves=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 300)), max_size=6)
)
def test_the_reader_is_a_file_of_the_plaintext(plain, moves):
    model, opened = io.BytesIO(plain), io.BufferedReader(reader(seal(plain)), 16)
    for offset, length in moves:
        assert opened.seek(offset) == model.seek(offset)
        assert opened.read(length) == model.read(length)
        assert opened.tell() == model.tell()
    assert opened.seek(0, io.SEEK_END) == len(plain)
    assert opened.seek(0) == 0
    assert opened.read() == plain


def test_the_reader_opens_only_what_is_asked_for():
    sealed, asked = seal(PLAIN), []

    def read(offset, view):
        asked.append(offset // 64)
        reads(sealed)(offset, view)

    opened = reader(sealed, read=read)
    assert asked == [0, 6]  # the header, and the last segment for the size
    opened.seek(FIRST + SEGMENT + 3)
    assert opened.read(5) == PLAIN[FIRST + SEGMENT + 3 :][:5]
    assert asked == [0, 6, 2]


def test_the_reader_proves_the_size_before_it_is_used():
    with pytest.raises(NotProven, match="truncated"):
        reader(seal(PLAIN)[:256])


def test_the_reader_gives_out_nothing_of_a_changed_segment_however_often_it_is_asked():
    sealed = bytearray(seal(PLAIN))
    sealed[3 * 64 + 1] ^= 1
    opened = reader(sealed)
    good = FIRST + 2 * SEGMENT
    assert opened.read(FIRST) == PLAIN[:FIRST]
    opened.seek(good)
    for _ in range(2):
        with pytest.raises(NotProven, match="segment 4 of 7"):
            opened.read(1)
    opened.seek(0)  # held before the failure, and its buffer overwritten by it
    assert opened.read(FIRST) == PLAIN[:FIRST]
    opened.seek(good + SEGMENT)
    assert opened.read(4) == PLAIN[good + SEGMENT :][:4]


# --- the primitives beneath ------------------------------------------------------------------------------------


def test_hkdf_agrees_with_wycheproof(either, enough):
    for name in ("SHA1", "SHA256", "SHA512"):
        groups = json.loads((either / "aead" / "wycheproof" / f"hkdf_{name.lower()}_test.json").read_text())
        seen = 0
        for case in (case for group in groups["testGroups"] for case in group["tests"]):
            ikm, salt, info = (bytes.fromhex(case[field]) for field in ("ikm", "salt", "info"))
            if case["result"] == "valid":
                assert derive(ikm, salt, info, size=case["size"], hash=name).hex() == case["okm"]
            else:
                with pytest.raises(ValueError, match="larger"):
                    derive(ikm, salt, info, size=case["size"], hash=name)
            seen += 1
        assert enough(seen, 51)


def test_aes_gcm_in_place_agrees_with_wycheproof(either):
    groups = json.loads((either / "aead" / "wycheproof" / "aes_gcm_test.json").read_text())["testGroups"]
    seen = 0
    for group in groups:
        if group["ivSize"] != 96 or group["tagSize"] != 128:
            continue  # the stream uses no other
        for case in group["tests"]:
            key, nonce, associated, plain, sealed = (
                bytes.fromhex(case[field]) for field in ("key", "iv", "aad", "msg", "ct")
            )
            sealed += bytes.fromhex(case["tag"])
            into = bytearray(len(plain))
            if case["result"] == "invalid":
                with pytest.raises(InvalidTag):
                    AESGCM(key).decrypt_into(nonce, sealed, associated, into)
            else:
                AESGCM(key).decrypt_into(nonce, sealed, associated, into)
                assert bytes(into) == plain
                out = bytearray(len(sealed))
                AESGCM(key).encrypt_into(nonce, plain, associated, out)
                assert bytes(out) == sealed
            seen += 1
    assert seen > 100
