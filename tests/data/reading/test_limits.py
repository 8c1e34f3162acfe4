"""Limits: claims are refused before memory is taken, and truncated or damaged streams are named."""

import gzip
import io

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.reading import limits


def test_a_claim_passes_up_to_what_is_possible_and_the_ceiling_and_not_beyond():
    limits.claim(100, where="f", ceiling=100, possible=100)
    with pytest.raises(InvalidInput, match="f claims 101 B, and the file can hold at most 100 B"):
        limits.claim(101, where="f", ceiling=1000, possible=100)
    with pytest.raises(InvalidInput, match=r"asks for 2\.0 KiB of memory; the ceiling is 1\.0 KiB"):
        limits.claim(2048, where="f", ceiling=1024)


class Endless(io.RawIOBase):
    """Counts what is asked of it at once; ends after ten bytes."""

    largest = 0
    left = 10

    def read(self, size=-1):
        Endless.largest = max(Endless.largest, size)
        part, self.left = b"x" * min(size, self.left), max(0, self.left - size)
        return part


def test_a_false_claim_of_terabytes_reads_in_pieces_and_names_the_end():
    with pytest.raises(InvalidInput, match=r"ends after 10 B of the 1\.0 TiB"):
        limits.exactly(Endless(), 1 << 40, where="f")
    assert Endless.largest <= 1 << 20


def test_gzip_is_opened_as_its_content_and_damage_in_it_is_named(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"hello" * 1000))
    with limits.opened(path) as stream:
        assert bytes(limits.exactly(stream, 5000, where="a")) == b"hello" * 1000
    path.write_bytes(path.read_bytes()[:-12])
    with limits.opened(path) as stream, pytest.raises(InvalidInput, match="cannot be decompressed"):
        limits.exactly(stream, 5001, where="a")


@pytest.mark.parametrize(("size", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")])
def test_sizes_are_written_with_units(size, words):
    assert limits.human(size) == words
