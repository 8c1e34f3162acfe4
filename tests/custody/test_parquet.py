"""Column sealing: who can read what, with Hauberk and with pyarrow alone, and what is left after a fault."""

from __future__ import annotations

import base64
import os

import pytest

from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.custody import parquet
from hauberk.custody.keys import AES_256
from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring

pa = pytest.importorskip("pyarrow")
import pyarrow.compute as pc  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import pyarrow.parquet.encryption as pe  # noqa: E402


@pytest.fixture
def keys(tmp_path):
    service = Keyring.make(tmp_path / "keyring", b"five words that are random", cost=Cost(1, 64, 1))
    service.create("data", AES_256)
    service.create("pii", AES_256)
    return service


@pytest.fixture
def table():
    return pa.table(
        {
            "id": list(range(1000)),
            "ssn": [f"078-05-{n:04d}" for n in range(1000)],
            "income": [float("nan"), None, float("inf"), -0.0] * 250,
            "visits": [[1.5, float("nan")], [], None, [2.0]] * 250,
            "home": [{"city": "Ulm", "zip": None}, None] * 500,
        }
    )


@pytest.fixture
def plain(tmp_path, table):
    pq.write_table(
        table.replace_schema_metadata({"origin": "test"}),
        tmp_path / "t.parquet",
        row_group_size=300,
        compression="zstd",
    )
    return tmp_path / "t.parquet"


def seal(plain, keys, columns, **how):
    target = plain.with_name("sealed.parquet")
    parquet.seal_columns(plain, target, keys, columns, footer_key="data", **how)
    return target


def everything(columns):
    return {column: column.to_pylist() for column in columns}


@pytest.mark.parametrize("footer", ["encrypted", "plaintext"])
@pytest.mark.parametrize(
    "columns", [{"ssn": "pii"}, {"*": "data"}, {"ssn": "pii", "home": "data", "visits": "pii"}]
)
def test_there_and_back_is_the_same_file_to_a_reader(plain, keys, tmp_path, footer, columns):
    sealed = seal(plain, keys, columns, footer=footer)
    opened = tmp_path / "opened.parquet"
    parquet.open_columns(sealed, opened, keys)
    one, two = pq.ParquetFile(plain), pq.ParquetFile(opened)
    assert two.schema_arrow.equals(one.schema_arrow, check_metadata=True)
    assert two.metadata.num_row_groups == one.metadata.num_row_groups == 4
    assert two.metadata.row_group(0).column(0).compression == "ZSTD"
    assert repr(two.read().to_pydict()) == repr(one.read().to_pydict())  # by repr, since NaN is not NaN
    assert opened.stat().st_mode & 0o077 == 0


def test_a_plaintext_footer_leaves_the_other_columns_to_everybody(plain, keys, table):
    sealed = seal(plain, keys, {"ssn": "pii"}, footer="plaintext")
    assert pq.read_table(sealed, columns=["id"])["id"].equals(table["id"])
    with pytest.raises(OSError, match="crypt"):
        pq.read_table(sealed, columns=["ssn"])
    assert b"078-05-0" not in sealed.read_bytes()


def test_an_encrypted_footer_tells_nothing_without_a_key(plain, keys):
    sealed = seal(plain, keys, {"ssn": "pii"})
    with pytest.raises(OSError, match="crypt"):
        pq.read_table(sealed, columns=["id"])
    assert b"income" not in sealed.read_bytes()


def test_pyarrow_reads_it_with_the_key_service_and_each_reader_what_it_may(plain, keys, table):
    sealed = seal(plain, keys, {"ssn": "pii"})
    read = pq.read_table(sealed, decryption_properties=parquet.decryption(keys), columns=["ssn", "id"])
    assert read.equals(table.select(["ssn", "id"]).replace_schema_metadata(read.schema.metadata))

    keys.destroy("pii")  # a reader who may use `data` alone
    assert pq.read_table(sealed, decryption_properties=parquet.decryption(keys), columns=["id"]).num_rows == 1000
    with pytest.raises(InvalidInput, match="no key is named 'pii'"):
        pq.read_table(sealed, decryption_properties=parquet.decryption(keys), columns=["ssn"])


def test_a_peer_with_the_unwrapped_keys_reads_it_without_hauberk(plain, keys, table):
    """Arrow's own key tools, another KMS client: the file is standard Parquet modular encryption."""
    sealed = seal(plain, keys, {"ssn": "pii"})
    unwrapped = {}

    class Learning(pe.KmsClient):
        def unwrap_key(self, wrapped_key, master_key_identifier):
            context = b"hauberk.dev/parquet-key/v1\0" + master_key_identifier.encode()
            key = keys.unwrap(master_key_identifier, base64.b64decode(wrapped_key), context)
            unwrapped[str(wrapped_key)] = key
            return key

        def wrap_key(self, *_arguments):
            raise AssertionError

    class Knowing(pe.KmsClient):
        def unwrap_key(self, wrapped_key, _master_key_identifier):
            return unwrapped[str(wrapped_key)]

        def wrap_key(self, *_arguments):
            raise AssertionError

    for client in (Learning, Knowing):
        factory = pe.CryptoFactory(lambda _configuration, client=client: client())
        properties = factory.file_decryption_properties(pe.KmsConnectionConfig(), pe.DecryptionConfiguration())
        assert pq.read_table(sealed, decryption_properties=properties)["ssn"].equals(table["ssn"])
    assert {len(key) for key in unwrapped.values()} == {32}


def test_it_says_which_keys_it_needs(plain, keys):
    assert parquet.key_names(plain) == ()
    assert parquet.key_names(seal(plain, keys, {"ssn": "pii"})) == (
        "data",
    )  # the columns' keys stand in the footer, which is encrypted
    assert "pii" in parquet.key_names(seal(plain, keys, {"ssn": "pii"}, footer="plaintext"))


def test_rotation_keeps_it_readable(plain, keys, table):
    sealed = seal(plain, keys, {"ssn": "pii"})
    keys.rotate("pii")
    keys.rotate("data")
    assert pq.read_table(sealed, decryption_properties=parquet.decryption(keys))["ssn"].equals(table["ssn"])


def test_changed_bytes_do_not_open(plain, keys, tmp_path):
    sealed = seal(plain, keys, {"*": "data"})
    data = bytearray(sealed.read_bytes())
    refused = 0
    for at in range(60, len(data) - 8, max(1, len(data) // 40)):
        changed = bytearray(data)
        changed[at] ^= 1
        sealed.write_bytes(changed)
        target = tmp_path / "opened.parquet"
        try:
            parquet.open_columns(sealed, target, keys)
        except HauberkError:
            refused += 1
        assert not target.exists()
    assert refused >= 40


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"absent": "data"}, "it has: id, ssn"), ({}, "no column was named"), ({"ssn": "absent"}, "no key is named")],
)
def test_bad_input_writes_nothing(plain, keys, columns, message):
    with pytest.raises(InvalidInput, match=message):
        seal(plain, keys, columns)
    assert sorted(path.name for path in plain.parent.iterdir()) == [".keyring.lock", "keyring", "t.parquet"]


def test_what_is_no_parquet_or_sealed_already_is_refused(plain, keys, tmp_path):
    sealed = seal(plain, keys, {"ssn": "pii"})
    with pytest.raises(InvalidInput, match="sealed columns already"):
        parquet.seal_columns(sealed, tmp_path / "x", keys, {"id": "data"}, footer_key="data")
    with pytest.raises(InvalidInput, match="no sealed columns"):
        parquet.open_columns(plain, tmp_path / "x", keys)
    (tmp_path / "no").write_bytes(os.urandom(1000))
    with pytest.raises(InvalidInput, match="cannot be read as Parquet"):
        parquet.seal_columns(tmp_path / "no", tmp_path / "x", keys, {"id": "data"}, footer_key="data")
    assert not (tmp_path / "x").exists()


class Failing:
    """A key service that goes away, or errs, at the n-th call."""

    def __init__(self, keys, calls, how):
        self.keys, self.left, self.how = keys, calls, how

    def _turn(self):
        self.left -= 1
        if self.left < 0 and self.how == "gone":
            raise Unavailable("the token went away")
        return self.left < 0

    def wrap(self, *arguments):
        self._turn()
        return self.keys.wrap(*arguments)

    def unwrap(self, *arguments):
        return os.urandom(32) if self._turn() else self.keys.unwrap(*arguments)


@pytest.mark.parametrize("calls", range(8))
@pytest.mark.parametrize("how", ["gone", "wrong"])
def test_a_key_service_that_fails_half_way_leaves_nothing(plain, keys, calls, how):
    with pytest.raises(Unavailable if how == "gone" else NotProven):
        seal(plain, Failing(keys, calls, how), {"ssn": "pii", "id": "data"})
    assert not (plain.parent / "sealed.parquet").exists()
    assert not list(plain.parent.glob("*.tmp"))


def test_old_time_stamps_are_copied_exactly_or_refused(keys, tmp_path):
    """INT96 dates that pyarrow would wrap (the year 3000 becomes 1830) must not come out of a sealed file as others."""

    def sealed(*dates, nested=False):
        stamps = pa.array(dates, pa.string()).cast(pa.timestamp("us"))
        column = pa.StructArray.from_arrays([stamps], ["at"]) if nested else stamps
        path = tmp_path / "old.parquet"
        pq.write_table(pa.table({"when": column}), path, use_deprecated_int96_timestamps=True)
        return seal(path, keys, {"*": "data"})

    near, far = "2020-01-01", "3000-01-01"
    opened = sealed(near, None, "1700-01-01")
    years = pq.read_table(opened, decryption_properties=parquet.decryption(keys))["when"]
    assert pc.year(years).to_pylist() == [2020, None, 1700]
    opened.unlink()
    for dates, nested in (((near, far), False), (("1600-05-05",), False), ((near, far), True)):
        with pytest.raises(InvalidInput, match="outside 1678 to 2261 in INT96 columns"):
            sealed(*dates, nested=nested)
        assert not opened.exists()
