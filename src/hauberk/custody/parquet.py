"""Parquet sealed column by column: Parquet modular encryption, with data keys wrapped by any key service.

Chosen columns are encrypted (AES-256-GCM, one data key a column); the others stay readable by whoever can read the
footer. The result is a standard file: pyarrow, Spark and others read it with the right keys.

    seal_columns   write such a file, open it again, compare, and only then give it its name
    open_columns   write the plain file
    decryption     what `pyarrow.parquet.read_table(..., decryption_properties=)` takes

The footer is either encrypted, which hides names, sizes and statistics, or "plaintext" and signed, so that programs
without keys can read the columns that are not encrypted.

Answers: readers of a shared table who may not see every column; a stolen file; changes to an encrypted column.
Does not answer: changes to columns that are not encrypted (with a plaintext footer they are not authenticated);
replacement of a whole file by another; the sizes of encrypted columns are visible. `rewrap` does not move these
keys, which are in the footer: open and seal again instead.
Source: github.com/apache/parquet-format Encryption.md; Arrow's key tools (data keys wrapped one by one).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal

from hauberk.core import canonical
from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError, InvalidInput, NotProven
from hauberk.core.extras import need
from hauberk.core.progress import Quiet, Task
from hauberk.custody._files import Draft, Source, named_draft, source
from hauberk.custody.keys.port import KeyService

Footer = Literal["encrypted", "plaintext"]

FORMAT = "https://hauberk.dev/sealed-columns/v1"
_ABOUT = b"hauberk.sealed-columns"
_CONTEXT = b"hauberk.dev/parquet-key/v1\0"
_ENCRYPTED, _PLAIN = b"PARE", b"PAR1"
_NANOSECONDS_END = 2**63 // 10**9  # the last second after 1970 that 64-bit nanoseconds can represent, in 2262
_LARGEST_FOOTER = 64 * 1024 * 1024
_MASTER = re.compile(rb'"masterKeyID":"([^"\\]{1,64})"')


def seal_columns(  # noqa: PLR0913 - where from, where to, under which keys, and how
    path: Path,
    target: Path,
    keys: KeyService,
    columns: Mapping[str, str],
    *,
    footer_key: str,
    footer: Footer = "encrypted",
    task: Task | None = None,
    disk: Disk | None = None,
) -> tuple[str, ...]:
    """Write `path` to `target` with some columns encrypted; return the encrypted leaf columns.

    columns: column to the name of its key; "*" means every column that is not named. footer_key: encrypts or,
    with a plaintext footer, signs the footer. One row group is in memory at a time. The result is opened again and
    compared, bit by bit, before it gets its name. Raises InvalidInput if the file is not Parquet, has
    sealed columns already, or lacks a column, and for an unknown key; NotProven if the copy differs; else as the key service.
    """
    pq = need("pyarrow.parquet")
    with source(path) as plain, _as_file(plain.descriptor, "rb") as data, _ours(path):
        if key_names(path):
            raise InvalidInput(f"{path} has sealed columns already: open it first.")
        original = pq.ParquetFile(data)
        under = _leaves(original, columns, what=str(path))
        _check_dates(original, data, what=str(path))
        properties = _encryption(keys, under, footer_key=footer_key, footer=footer)
        with named_draft(target, disk=disk or Disk(), mode=0o644) as sealed, _ours(path):
            codecs = _compression(original)
            about = {"columns": under, "compression": codecs, "footer": footer, "footer_key": footer_key}
            about["format"] = FORMAT
            schema = _with_metadata(original.schema_arrow, {_ABOUT: canonical.encode(about)})
            _write(original, sealed, schema, codecs, task or Quiet(), encryption_properties=properties)
            _compare(original, sealed, keys, what=str(path))
            plain.unchanged()
    return tuple(sorted(under))


def open_columns(
    path: Path, target: Path, keys: KeyService, *, task: Task | None = None, disk: Disk | None = None
) -> None:
    """Write the plain Parquet of a file with sealed columns, readable by its owner only; complete or not at all.

    Raises NotProven if a key is wrong or a byte was changed, InvalidInput if the file has no sealed columns.
    """
    pq = need("pyarrow.parquet")
    with source(path) as sealed, _as_file(sealed.descriptor, "rb") as data, _ours(path):
        if not key_names(path):
            raise InvalidInput(f"{path} has no sealed columns.")
        original = pq.ParquetFile(data, decryption_properties=decryption(keys))
        schema = _with_metadata(original.schema_arrow, {_ABOUT: None})
        with named_draft(target, disk=disk or Disk(), mode=0o600) as plain, _ours(path):
            _write(original, plain, schema, _compression_told(original), task or Quiet())
            sealed.unchanged()


def decryption(keys: KeyService) -> Any:  # noqa: ANN401 - pyarrow.parquet.encryption's type, imported late
    """Return the decryption properties that pyarrow's readers take, which ask `keys` for the key of each column that is read."""
    encryption = need("pyarrow.parquet.encryption")
    return _factory(keys).file_decryption_properties(
        encryption.KmsConnectionConfig(), encryption.DecryptionConfiguration(cache_lifetime=timedelta(seconds=60))
    )


def key_names(path: Path) -> tuple[str, ...]:
    """Return the names of the keys that wrap a Parquet file's data keys, sorted; none for any other file."""
    with source(path) as file:
        if file.size < 12 or _at(file, 0, 4) not in (_PLAIN, _ENCRYPTED):
            return ()
        size, magic = int.from_bytes(_at(file, file.size - 8, 4), "little"), _at(file, file.size - 4, 4)
        if magic not in (_PLAIN, _ENCRYPTED) or not 0 < size <= min(file.size - 12, _LARGEST_FOOTER):
            return ()
        footer = _at(file, file.size - 8 - size, size)
    if magic == _PLAIN and b"masterKeyID" not in footer:
        return ()
    return tuple(sorted({name.decode("utf-8", "replace") for name in _MASTER.findall(footer)}))


def _at(file: Source, offset: int, size: int) -> bytes:
    data = bytearray(size)
    file.read_at(offset, memoryview(data))
    return bytes(data)


def _leaves(file: Any, columns: Mapping[str, str], *, what: str) -> dict[str, str]:  # noqa: ANN401 - a ParquetFile
    """Return leaf path to key name: a nested column is encrypted with all its leaves."""
    paths = [file.schema.column(at).path for at in range(len(file.schema))]
    wanted = {name: key for name, key in columns.items() if name != "*"}
    under: dict[str, str] = {}
    for name, key in wanted.items():
        found = [path for path in paths if path == name or path.startswith(f"{name}.")]
        if not found:
            known = ", ".join(file.schema_arrow.names[:40])
            raise InvalidInput(f"{what} has no column {name[:80]!r}; it has: {known}.")
        under |= dict.fromkeys(found, key)
    if "*" in columns:
        under = dict.fromkeys(paths, columns["*"]) | under
    if not under:
        raise InvalidInput("no column was named: name at least one to seal, or * for all.")
    return under


def _check_dates(original: Any, data: BinaryIO, *, what: str) -> None:  # noqa: ANN401 - a ParquetFile
    """Raise InvalidInput for an INT96 time stamp that pyarrow 26.0 would wrap: it reads INT96 as nanoseconds in 64 bits."""
    schema = original.schema
    old = [schema.column(at).path for at in range(len(schema)) if schema.column(at).physical_type == "INT96"]
    if not old:
        return
    exact = need("pyarrow.parquet").ParquetFile(data, coerce_int96_timestamp_unit="s")
    for at in range(original.metadata.num_row_groups):
        for column in exact.read_row_group(at, columns=old).columns:
            for array in column.chunks:
                if any(abs(second) >= _NANOSECONDS_END for second in _seconds(array)):
                    raise InvalidInput(
                        f"{what} has dates outside 1678 to 2261 in INT96 columns ({', '.join(old)[:120]}), which cannot be "
                        "copied exactly: write these columns as timestamp[us] (INT64), then seal the file."
                    )


def _seconds(array: Any) -> Iterator[int]:  # noqa: ANN401 - an Array of time stamps, or of lists or structs of them
    pa = need("pyarrow")
    if pa.types.is_timestamp(array.type):
        span = need("pyarrow.compute").min_max(array.cast(pa.int64()))
        yield from (span[end].as_py() for end in ("min", "max") if span[end].is_valid)
    elif pa.types.is_struct(array.type):
        for part in array.flatten():
            yield from _seconds(part)
    elif pa.types.is_map(array.type):
        for part in (array.keys, array.items):
            yield from _seconds(part)
    elif pa.types.is_nested(array.type):
        yield from _seconds(array.flatten())


def _encryption(keys: KeyService, under: Mapping[str, str], *, footer_key: str, footer: Footer) -> Any:  # noqa: ANN401 - as above
    encryption = need("pyarrow.parquet.encryption")
    by_key: dict[str, list[str]] = {}
    for column, key in under.items():
        by_key.setdefault(key, []).append(column)
    configuration = encryption.EncryptionConfiguration(
        footer_key=footer_key,
        column_keys=by_key,
        encryption_algorithm="AES_GCM_V1",
        plaintext_footer=footer == "plaintext",
        double_wrapping=False,  # double wrapping adds a 128-bit key; the key service wraps the 256-bit data keys directly
        data_key_length_bits=256,
        internal_key_material=True,
    )
    return _factory(keys).file_encryption_properties(encryption.KmsConnectionConfig(), configuration)


def _factory(keys: KeyService) -> Any:  # noqa: ANN401 - as above
    encryption = need("pyarrow.parquet.encryption")

    class Bridge(encryption.KmsClient):  # type: ignore[misc, name-defined] # a base class that is imported late
        """Arrow's interface to a key management service, implemented by ours."""

        def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
            associated = _CONTEXT + master_key_identifier.encode()
            wrapped = keys.wrap(master_key_identifier, bytes(key_bytes), associated)
            if keys.unwrap(master_key_identifier, wrapped, associated) != bytes(key_bytes):
                raise NotProven(
                    f"the key {master_key_identifier!r} returns a data key other than the one it wrapped."
                )
            return base64.b64encode(wrapped).decode("ascii")

        def unwrap_key(self, wrapped_key: str | bytes, master_key_identifier: str) -> bytes:
            try:
                wrapped = base64.b64decode(wrapped_key, validate=True)
            except (binascii.Error, ValueError):
                raise NotProven("a wrapped data key in the footer is not base64: it was changed.") from None
            return keys.unwrap(master_key_identifier, wrapped, _CONTEXT + master_key_identifier.encode())

    return encryption.CryptoFactory(lambda _configuration: Bridge())


def _write(
    original: Any,  # noqa: ANN401 - a ParquetFile
    into: Draft,
    schema: Any,  # noqa: ANN401 - a Schema
    codecs: Mapping[str, str],
    task: Task,
    **how: Any,  # noqa: ANN401 - a ParquetWriter's
) -> None:
    pq = need("pyarrow.parquet")
    groups = original.metadata.num_row_groups
    with (
        _as_file(into.descriptor, "wb") as file,
        pq.ParquetWriter(file, schema, compression=dict(codecs) or "NONE", **how) as writer,
    ):
        for at in range(groups):
            table = original.read_row_group(at)
            # Arrow splits large row groups unless `row_group_size` says how many rows the group has.
            writer.write_table(table.replace_schema_metadata(schema.metadata), row_group_size=max(1, len(table)))
            task.update((at + 1) / groups, text=f"row group {at + 1} of {groups}")


def _compression(original: Any) -> dict[str, str]:  # noqa: ANN401 - as above
    if not original.metadata.num_row_groups:
        return {}
    group = original.metadata.row_group(0)
    columns = [group.column(at) for at in range(group.num_columns)]
    return {column.path_in_schema: column.compression.replace("UNCOMPRESSED", "NONE") for column in columns}


def _compression_told(original: Any) -> dict[str, str]:  # noqa: ANN401 - as above
    # Read from the note that sealing wrote: Arrow 26.0 aborts the process when the metadata of an encrypted column is read
    # and its key is denied. A file that other programs sealed has no such note, and needs none.
    told = (original.schema_arrow.metadata or {}).get(_ABOUT)
    value = canonical.decode(told, what="the file's note on its sealed columns") if told else {}
    return dict(value.get("compression", {})) if isinstance(value, dict) else {}


def _compare(original: Any, sealed: Draft, keys: KeyService, *, what: str) -> None:  # noqa: ANN401 - as above
    pq = need("pyarrow.parquet")
    with _as_file(sealed.descriptor, "rb") as file:
        again = pq.ParquetFile(file, decryption_properties=decryption(keys))
        groups = original.metadata.num_row_groups
        same = again.metadata.num_row_groups == groups and again.schema_arrow.equals(original.schema_arrow)
        for at in range(groups if same else 0):
            one, other = original.read_row_group(at), again.read_row_group(at)
            same = same and all(_same(a, b) for a, b in zip(one.columns, other.columns, strict=True))
    if not same:
        raise NotProven(f"{what} differs after sealing and opening again. Nothing was written.")


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - chunked arrays
    if one.equals(other):
        return True
    pa = need("pyarrow")
    # Arrow compares NaN as unequal to NaN, also within lists and structs; so bytes are compared instead.
    return bool(one.type == other.type and len(one) == len(other) and _bytes(pa, one) == _bytes(pa, other))


def _bytes(pa: Any, column: Any) -> bytes:  # noqa: ANN401 - as above
    # Taking every row makes one array without offsets, in which Arrow fills padding and null slots the same way.
    whole = pa.chunked_array(column.chunks, type=column.type).combine_chunks()
    array = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
    batch = pa.record_batch([array.take(pa.array(range(len(array)), pa.int64()))], names=["c"])
    return bytes(batch.serialize())


def _with_metadata(schema: Any, changes: Mapping[bytes, bytes | None]) -> Any:  # noqa: ANN401 - as above
    metadata = {**(schema.metadata or {}), **changes}
    return schema.with_metadata({name: value for name, value in metadata.items() if value is not None} or None)


@contextmanager
def _as_file(descriptor: int, mode: Literal["rb", "wb"]) -> Iterator[BinaryIO]:
    """Yield a file object on a descriptor, at its start, for a library that takes file objects."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), mode) as file:
        yield file


@contextmanager
def _ours(path: Path) -> Iterator[None]:
    """Convert Arrow's exceptions to ours; exceptions of the key service pass through Arrow's C++ unchanged."""
    pa = need("pyarrow")
    try:
        yield
    except HauberkError:
        raise
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(f"{path} cannot be read as Parquet: {_line(error)}") from error
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None):
            raise  # the disk's own error, which `named_draft` explains
        raise NotProven(f"{path} does not open: a key is wrong, or a byte was changed ({_line(error)}).") from error


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
