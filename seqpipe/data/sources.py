"""Rows of a source: `files:PATH`, `tfds:NAME` or `builtin:NAME`."""

from __future__ import annotations

import contextlib
import io
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

from seqpipe.data.builtin import BUILTINS
from seqpipe.data.files import BadRow, Column, Format, Row, check_columns, read_files
from seqpipe.errors import DataError, nearest, not_allowed

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

__all__ = ["BadRow", "Role", "Row", "read_rows"]

Role = Literal["train", "dev", "test", "unlabelled"]
TFDS_SPLITS = {"train": "train", "dev": "validation", "test": "test", "unlabelled": "unsupervised"}


def read_rows(
    source: str,
    *,
    columns: Mapping[str, Column],
    role: Role,
    format: Format = "auto",
    encoding: str = "utf-8",
    separator: str | None = None,
    encoding_key: str = "data.encoding",
    label_separator: str | None = None,
) -> Iterator[Row | BadRow]:
    """The rows of a source, one after the other, in an order that never changes.

    Args:
        source: `files:PATH` (PATH may be a glob, or a folder with a folder of texts for each class),
            `tfds:NAME[/config][:version][?split=train[:90%]]` or
            `builtin:NAME[?split=train&rows=100&seed=1]`.
        columns: our name -> column in the data, such as {"text": "text_a", "label": "label"}.
        role: what the rows are for; it chooses the split where the source names none.
        format, encoding, separator, encoding_key, label_separator: of files, see `read_files`.
    Raises:
        DataError: the source as a whole cannot be read. A single bad row comes out as a BadRow.
    """
    scheme, _, rest = source.partition(":")
    if scheme == "files":
        return read_files(
            rest,
            columns=columns,
            format=format,
            encoding=encoding,
            separator=separator,
            encoding_key=encoding_key,
            label_separator=label_separator,
        )
    if scheme == "tfds":
        return _read_tfds(source, rest, columns, role)
    if scheme == "builtin":
        return _read_builtin(source, rest, columns, role)
    raise DataError(f"{source} is not a source. Allowed: files:PATH, tfds:NAME, builtin:NAME.")


def source_options(source: str, rest: str, allowed: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Name and options of NAME?key=value&key=value; values stay as they are, since `+` and `%` belong to splits."""
    name, _, query = rest.partition("?")
    options = {}
    for part in query.split("&") if query else []:
        key, _, value = part.partition("=")
        if key not in allowed:
            raise DataError(f"{source}: {not_allowed(key, 'key', allowed)}")
        options[key] = value
    return name, options


def whole_number_option(source: str, options: dict[str, str], key: str, default: int, least: int, most: int) -> int:
    text = options.get(key, str(default))
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise DataError(f'{source}: {key} = "{text}" is not allowed. Allowed: whole numbers from {least} to {most}.')
    return int(text)


def _read_builtin(source: str, rest: str, columns: Mapping[str, Column], role: Role) -> Iterator[Row | BadRow]:
    name, options = source_options(source, rest, ("split", "rows", "seed"))
    if name not in BUILTINS:
        raise DataError(f"{source}: {not_allowed(name, 'builtin data set', BUILTINS)}")
    data = BUILTINS[name]
    split = options.get("split", role)
    if split not in data.rows:
        raise DataError(f"{source}: {not_allowed(split, 'split', data.rows)}")
    rows = whole_number_option(source, options, "rows", data.rows[split], 1, 100_000)
    seed = whole_number_option(source, options, "seed", 1, 0, 2**31 - 1)
    check_columns(source, columns, data.columns)
    records = data.generate(split, rows, seed)
    file = f"builtin:{name}/{split}"
    return (
        Row({ours: record[str(theirs)] for ours, theirs in columns.items()}, file, line)
        for line, record in enumerate(records, start=1)
    )


def _read_tfds(source: str, rest: str, columns: Mapping[str, Column], role: Role) -> Iterator[Row | BadRow]:
    name, options = source_options(source, rest, ("split",))
    split = options.get("split", TFDS_SPLITS[role])
    import tensorflow_datasets as tfds

    builder = prepared_tfds(source, name, split)
    features = builder.info.features
    check_columns(source, columns, features)
    for column in columns.values():
        if features[column].shape != ():
            kind = type(features[column]).__name__
            raise DataError(f"{source}: the feature {column} is of kind {kind}, not a text or a label.")
    whole = isinstance(features, tfds.features.Translation)  # which cannot be decoded in part
    only = None if whole else tfds.decode.PartialDecoding(dict.fromkeys(columns.values(), True))
    dataset = builder.as_dataset(
        split=split,
        decoders=only,
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),  # rows in the order of the files
    )
    return _tfds_rows(tfds.as_numpy(dataset), features, columns, f"tfds:{name}/{split}")


def prepared_tfds(source: str, name: str, split: str) -> tfds.core.DatasetBuilder:
    """The builder of a data set whose files are there, downloaded now if need be, and which has the split.

    Raises:
        DataError: there is no such data set or split, or it cannot be prepared.
    """
    builder = _tfds_builder(source, name)
    if not builder.data_path.exists():
        _download_and_prepare(builder, source)
    splits = builder.info.splits
    try:
        splits[split]  # a name, a slice or a sum, such as train[:90%]
    except (KeyError, ValueError, AssertionError):
        raise DataError(
            f"{source}: {not_allowed(split, 'split', splits)} A part may be named too: tfds:{name}?split=train[90%:]"
        ) from None
    return builder


def _tfds_builder(source: str, name: str) -> tfds.core.DatasetBuilder:
    import tensorflow_datasets as tfds

    folder = os.environ.get("TFDS_DATA_DIR")  # tensorflow_datasets itself looks only once, when it is imported
    try:
        return tfds.builder(name, data_dir=folder)
    except tfds.core.DatasetNotFoundError:
        guess = nearest(name.partition("/")[0].partition(":")[0], tfds.list_builders(with_community_datasets=False))
        looked_in = folder or tfds.core.constants.DATA_DIR
        raise DataError(
            f"{source}: TensorFlow Datasets {tfds.__version__} knows no data set of this name, and none is prepared in "
            f"{looked_in} (TFDS_DATA_DIR).{guess}"
        ) from None
    except Exception as error:  # a version, a configuration, a package it wants: each has its own exception
        raise DataError(_not_loaded(source, error, folder)) from None


def _download_and_prepare(builder: tfds.core.DatasetBuilder, source: str) -> None:
    import tensorflow_datasets as tfds

    try:
        if hosts := _unreachable_hosts(builder):
            raise ConnectionError(f"its files are at {hosts}, which cannot be reached")
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except Exception as error:  # whatever a download meets: requests, checksums, missing packages, manual steps
        raise DataError(_not_loaded(source, error, builder.data_path.parent)) from None


def _unreachable_hosts(builder: tfds.core.DatasetBuilder) -> str:
    """The hosts of the data set's files, if none answers; tensorflow_datasets itself gives up only after minutes."""
    downloads = Path(builder.data_dir_root) / "downloads"
    if getproxies() or any(downloads.glob("**/*.INFO")):  # perhaps reachable all the same, or downloaded before
        return ""
    addresses = {(url.hostname, url.port or url.scheme) for url in map(urlsplit, builder.url_infos or ())}
    tried = sorted((host, port) for host, port in addresses if host)[:5]
    for address in tried:
        with contextlib.suppress(OSError):
            socket.create_connection(address, timeout=5).close()
            return ""
    return ", ".join(host for host, _ in tried)


def _not_loaded(source: str, error: Exception, looked_in: object) -> str:
    reason = " ".join(str(error).split())
    reason = reason if len(reason) <= 300 else f"{reason[:297]} [...]"
    return (
        f"{source} is not prepared (looked in {looked_in or 'the default folder'}; TFDS_DATA_DIR names another) and "
        f"cannot be: {reason.rstrip('.')}. A local file may be named instead: files:PATH"
    )


def _tfds_rows(records: Any, features: Any, columns: Mapping[str, Column], file: str) -> Iterator[Row | BadRow]:
    for line, record in enumerate(records, start=1):
        try:
            values = {ours: _tfds_value(record[theirs], features[theirs]) for ours, theirs in columns.items()}
        except ValueError as error:
            yield BadRow(file, line, str(error))
        else:
            yield Row(values, file, line)


def _tfds_value(value: Any, feature: tfds.features.FeatureConnector) -> str:
    if hasattr(feature, "int2str"):  # a ClassLabel; where a label is withheld it is -1
        if not 0 <= value < feature.num_classes:
            raise ValueError(f"the label {value} is none of the {feature.num_classes} classes")
        return str(feature.int2str(int(value)))
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"byte {error.start} of the text (0x{value[error.start]:02x}) is not utf-8") from None
    return str(value)
