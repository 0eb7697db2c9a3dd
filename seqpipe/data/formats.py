"""Rows of one file of text: CSV, TSV, JSON lines or an array, `label sentence`, plain lines."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from seqpipe.data.lines import BadRow, Lines, Row, cut
from seqpipe.errors import DataError, not_allowed

Column = str | int  # a name, or where there are no names a position counted from 1
Format = Literal["auto", "csv", "tsv", "jsonl", "label_text", "lines", "folders"]
FASTTEXT = "__label__"
FASTTEXT_LABELS = re.compile(rf"\s*(?:{FASTTEXT}\S*(?:\s+|$))+")
ONE_LABEL = "a text has one label here, not several. Are there several? Name data.label_separator"
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
SEPARATORS = re.compile(r"[\t,;|]|[^\S ]")  # a blank of another kind too
SEPARATOR_LINE = re.compile(r'"?sep=([^\w"\s]|\t)"?[,;|\t]*')
LAST_FIELD = re.compile(r'[\t,;|] *([^\t,;|"]{1,40})"?$')


def check_columns(place: str, columns: Mapping[str, Column], available: Iterable[str]) -> None:
    """Raise DataError unless each wanted column is there by its name, once."""
    available = list(available)
    shown = [name if len(name) <= 40 else f"{name[:37]}..." for name in available[:20]]
    for column in columns.values():
        if isinstance(column, int):
            raise DataError(
                f"{place}: columns have names here, not numbers such as {column}. Allowed: {', '.join(shown)}."
            )
        if column not in available:
            only = available[0] if len(available) == 1 else ""
            sign = next((sign for sign in (";", "\t", ",", "|") if sign in only), None)
            hint = f" Is it separated by {sign!r}? Name that in data.separator." if sign else ""
            raise DataError(f"{place}: {not_allowed(column, 'column', shown)}{hint}")
        if available.count(column) > 1:
            raise DataError(f"{place}: the column {column} stands {available.count(column)} times. Name each once.")


def _without_header(columns: Mapping[str, Column]) -> dict[str, int]:
    """Our name -> index of the column, where columns are given by position; else empty."""
    return {ours: theirs - 1 for ours, theirs in columns.items() if isinstance(theirs, int)}


def without_blanks(names: Sequence[str], wanted: Iterable[Column]) -> list[str]:
    """Names of a header without the blanks around them, but for those that are asked for just as they stand."""
    wanted = set(wanted)
    return [name if name in wanted else name.strip() for name in names]


def _header(lines: Lines, names: list[str], columns: Mapping[str, Column]) -> dict[str, int]:
    """Our name -> index of the column."""
    fault = lines.take_fault()
    if fault:
        raise DataError(f"{lines.name}:1: {fault}.")
    names = without_blanks(names, columns.values())
    if any(f'"{name}"' in names for name in columns.values()):
        raise DataError(
            f"{lines.name}:{lines.number}: its cells stand in quotes, which are characters like any other in TSV. Read "
            r"it with data.format = csv and data.separator = \t."
        )
    check_columns(f"{lines.name}:{lines.number}", columns, names)
    return {ours: names.index(str(theirs)) for ours, theirs in columns.items()}


def _pick(fields: list[str], positions: dict[str, int], width: int) -> dict[str, str] | str:
    """The wanted fields; width: how many the header names, 0 where there is none."""
    if width and len(fields) != width:
        return f"{len(fields)} fields, the header names {width}"
    if max(positions.values()) >= len(fields):
        return f"{len(fields)} fields, column {max(positions.values()) + 1} is asked for"
    return {name: fields[position] for name, position in positions.items()}


def separator_line(line: str) -> str | None:
    """The separator that a spreadsheet's line such as `sep=;` names, which stands before the header; else None."""
    found = SEPARATOR_LINE.fullmatch(cut(line))
    return found[1] if found else None


def read_csv(lines: Lines, columns: Mapping[str, Column], separator: str | None) -> Iterator[Row | BadRow]:
    """
    Args:
        separator: None for what a first line `sep=;` names, else a comma.
    """
    rest = iter(lines)
    first = next(rest, "")
    named = separator_line(first)
    begin = [] if named else [first]
    reader = csv.reader(itertools.chain(begin, rest), delimiter=separator or named or ",", strict=True)
    positions = _without_header(columns)
    width = 0
    for number in itertools.count():
        start = lines.number + 1 if number or named else 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = _csv_reason(str(error))
            if not positions:
                raise DataError(f"{lines.name}:{start}: {lines.take_fault() or reason}.") from None
            yield lines.row(reason, start=start)
            continue
        if not fields or (len(fields) > 1 and not any(fields)):  # a blank line, of a spreadsheet too
            continue
        if not positions:
            positions, width = _header(lines, fields, columns), len(fields)
        else:
            yield lines.row(_pick(fields, positions, width), start=start)


def _csv_reason(error: str) -> str:
    if "unexpected end of data" in error:
        return "a quote opens here and is never closed"
    if "field limit" in error:
        limit = f"{csv.field_size_limit():,}"
        return f"a field is longer than {limit} characters (JSON lines have no limit), or its quote is never closed"
    if "new-line" in error:
        return "a lone carriage return outside quotes: lines end at LF or CRLF"
    return f"not CSV: {error}"


def read_tsv(lines: Lines, columns: Mapping[str, Column]) -> Iterator[Row | BadRow]:
    """Quotes are characters like any other, as in the IANA definition; pandas would join rows at a lone quote."""
    positions = _without_header(columns)
    width = 0
    for line in lines:
        fields = cut(line).split("\t")
        if not any(fields):
            continue
        if not positions:
            positions, width = _header(lines, fields, columns), len(fields)
        else:
            yield lines.row(_pick(fields, positions, width))


def read_json(
    lines: Lines, columns: Mapping[str, Column], label_separator: str | None = None
) -> Iterator[Row | BadRow]:
    """An object a line, or one array of objects, whose rows are counted by item.

    Args:
        label_separator: where it is given, a list of labels comes out as it is, as JSON in one text.
    """
    checked = False
    for line in lines:
        line = line.strip(" \t\r\n")
        if not line:
            continue
        if not checked and line == "{":
            raise DataError(
                f"{lines.name}:{lines.number}: a JSON object over several lines. Allowed: an object a line, or one "
                "array of them; if the rows stand in a list inside it, save that list alone."
            )
        if not checked and line.startswith("[") and line[1:].lstrip()[:1] in ("", "{", "]"):
            yield from _read_array(lines, line, columns, label_separator)
            return
        record = _parsed(line)
        if isinstance(record, dict) and not checked:
            _check_keys(f"{lines.name}:{lines.number}", record, columns)
            checked = True
        yield lines.row(_json_values(record, columns, label_separator) if isinstance(record, dict) else record)


def _parsed(line: str) -> dict[str, object] | str:
    """The object in a line or, as a string, what is wrong with it."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at column {error.colno}"
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        return f"not JSON: {error}"
    return record if isinstance(record, dict) else _no_object(record)


def _no_object(record: object) -> str:
    return f"a JSON {type(record).__name__}, not an object"


def _read_array(
    lines: Lines, first: str, columns: Mapping[str, Column], label_separator: str | None
) -> Iterator[Row | BadRow]:
    text = "".join(["\n" * (lines.number - 1), first, "\n", *lines])  # its lines are those of the file
    if fault := lines.take_fault():
        raise DataError(f"{lines.name}: {fault}.")
    try:
        records = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{lines.name}: not JSON: {error}.") from None
    if not records:
        raise DataError(f"{lines.name} is an empty array.")
    if isinstance(records[0], dict):
        _check_keys(f"{lines.name}, item 1", records[0], columns)
    for number, record in enumerate(records, start=1):
        values = _json_values(record, columns, label_separator) if isinstance(record, dict) else _no_object(record)
        yield lines.row(values, start=number)


def _check_keys(place: str, record: dict[str, object], columns: Mapping[str, Column]) -> None:
    inside = [f"{key}.{part}" for key, value in record.items() if isinstance(value, dict) for part in value]
    named = {ours: key for ours, key in columns.items() if isinstance(key, int) or value_at(record, key) is MISSING}
    lists = [key for key, value in record.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if named and lists:
        shown = ", ".join([*record, *inside][:20])
        raise DataError(
            f'{place}: "{next(iter(named.values()))}" is not a column. Allowed: {shown}. Are the rows in {lists[0]}? '
            "Then save that list alone: allowed are an object a line, or one array of them."
        )
    check_columns(place, named, [*record, *inside])


MISSING = object()


def value_at(record: dict[str, object], key: str) -> object:
    """What stands under a key, or under a path such as translation.en or answers.0.text, the first of a list."""
    if key in record:
        return record[key]
    value: object = record
    for part in key.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


class Gappy(str):
    """A column in which values may be missing: null, NaN and no such key are read as an empty text."""


def _json_values(
    record: dict[str, object], columns: Mapping[str, Column], label_separator: str | None
) -> dict[str, str] | str:
    values = {}
    for ours, theirs in columns.items():
        value = value_at(record, str(theirs))
        if isinstance(theirs, Gappy) and (value is None or value is MISSING or value != value):
            value = ""
        if value is MISSING:
            return f"no key {theirs}"
        several = ours == "label" and label_separator is not None
        if isinstance(value, float) and not math.isfinite(value):
            return f"{theirs} is {json.dumps(value)}, not a string"
        if isinstance(value, str):
            values[ours] = value
        elif several and (value is None or isinstance(value, list)):
            values[ours] = json.dumps(value or [], ensure_ascii=False)
        elif isinstance(value, (bool, int, float)):
            values[ours] = json.dumps(value)
        elif isinstance(value, list) and ours == "label":
            return f"{theirs} is a list: {ONE_LABEL}"
        elif isinstance(value, dict):
            inside = ", ".join(f"{theirs}.{key}" for key in list(value)[:5])
            return f"{theirs} is an object, not a string" + (f"; inside it: {inside}" if inside else "")
        else:
            said = "null, not a string" if value is None else f"a list, not a string; its first is {theirs}.0"
            return f"{theirs} is {said}"
        if LONE_SURROGATE.search(values[ours]):
            return f"{theirs} holds half a surrogate pair, which is no character"
        if "\0" in values[ours]:
            return f"{theirs} holds NUL"
    return values


def read_label_text(
    lines: Lines,
    columns: Mapping[str, Column],
    separator: str,
    label_separator: str | None = None,
    *,
    fasttext: bool = False,
) -> Iterator[Row | BadRow]:
    """
    Args:
        separator: what `after_label` found to stand between label and sentence.
        label_separator: what stands between the labels of a text, where it may have several.
        fasttext: with a label_separator, the labels are the words at the beginning of a line that begin with
            __label__, and a line may have none.
    """
    check_columns(lines.name, {name: name for name in columns}, ["label", "text"])
    for line in lines:
        whole = cut(line)
        whole = whole.lstrip(" ") if whole.lstrip(" ").startswith(FASTTEXT) else whole
        label, found, text = whole.partition(separator)
        if not label and not text:
            continue
        fault = None
        if label_separator is not None and fasttext:
            label, text = _fasttext(whole, label_separator)
            if FASTTEXT in text or any(name.count(FASTTEXT) > 1 for name in label.split(label_separator)):
                fault = f"{FASTTEXT} stands behind the sentence, or twice in a label: blanks stand between labels here"
        elif label_separator is None or label_separator not in label:
            fault = _label_fault(whole, label, bool(found), separator)
        both = {"label": label, "text": text}
        yield lines.row(fault or {name: both[name] for name in columns})


def _fasttext(line: str, label_separator: str) -> tuple[str, str]:
    """Labels and sentence of a line such as `__label__a __label__b a sentence`; the labels as one text."""
    found = FASTTEXT_LABELS.match(line)
    text = line[found.end() :] if found else line
    return label_separator.join(line[: len(line) - len(text)].split()), text


def _label_fault(line: str, label: str, found: bool, separator: str) -> str | None:
    if line.count(FASTTEXT) > 1:
        return f"several labels in a line ({line.count(FASTTEXT)} times {FASTTEXT}): {ONE_LABEL}"
    if FASTTEXT in line and not label.strip().startswith(FASTTEXT):
        return f"the label stands behind its sentence: {FASTTEXT} must begin the line"
    if sign := SEPARATORS.search(label):
        shown = label if len(label) <= 40 else f"{label[:37]}..."
        return (
            f"{sign[0]!r} in the label {shown!r}: a space stands between label and sentence, and there is one label. "
            "Is it CSV or TSV? Name data.format and the columns"
        )
    if not found:
        return f"no {'tab' if separator == chr(9) else 'space'} between label and sentence"
    return None


def after_label(name: str, begin: Sequence[str]) -> str:
    """What stands between label and sentence, a space or a tab, by the first lines of a file.

    Raises:
        DataError: the lines are columns in which the label is not clearly the first.
    """
    lines = [line for line in begin if line.strip()]
    tabs = {line.count("\t") for line in lines}
    if len(lines) > 1 and len(tabs) == 1 and tabs.pop() > 1:
        raise DataError(
            f"{name}: {lines[0].count(chr(9))} tabs in each line. Is it a table? Name data.format = tsv, and "
            "data.label_column and data.text_column by number."
        )
    if lines and all("\t" in line for line in lines):
        labels, texts = zip(*(line.split("\t", 1) for line in lines), strict=True)
        few, many = (len(set(labels)), len("".join(labels))), (len(set(texts)), len("".join(texts)))
        if few < many and not any(" " in label.strip() for label in labels):
            return "\t"
        raise DataError(
            f"{name}: a tab in each line, and the label is not clearly what stands before it. Name data.format = tsv, "
            "and data.label_column and data.text_column by number."
        )
    last = [match[1] for match in map(LAST_FIELD.search, lines) if match]
    if len(lines) > 1 and len(last) == len(lines) and 2 * len(set(last)) <= len(last):
        raise DataError(
            f"{name}: each line ends in a separator and one of a few words, such as {last[0]!r}, as if the label stood "
            "behind its sentence. Name data.format = csv or tsv, and data.label_column and data.text_column by number."
        )
    return " "


def read_lines(lines: Lines, columns: Mapping[str, Column]) -> Iterator[Row | BadRow]:
    if len(columns) != 1:
        raise DataError(
            f"{lines.name}: plain lines hold one column, not {', '.join(columns)}. Are its columns apart by tabs? "
            "Then name data.format = tsv, and the columns by number if no header names them."
        )
    (name,) = columns
    for line in lines:  # a blank line is a row here: answers are matched to questions by their line
        yield lines.row({name: cut(line)})
