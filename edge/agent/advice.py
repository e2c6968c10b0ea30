"""Bytes that gave no sample, looked at: what they seem to be, and what to write in agent.toml instead. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from edge.protocol import Key, SourceConfig
from ingest.settings import meant
from ingest.showing import printable
from ingest.states import States

WORDS: Final[Mapping[str, str]] = {
    "checksum": "the checksum is wrong",
    "no_checksum": "there is no checksum",
    "garbage": "these bytes are no text",
    "pair": "this is no pair of a name and a value",
    "twice": "a name comes twice",
    "pattern": "the pattern is not found in this",
    "cbor": "this is no CBOR",
    "pack": "this is no SenML pack",
    "must_understand": "a field must be understood, and is not",
    "version": "this SenML is newer",
    "unit": "the unit is another one",
    "relative_time": "the time says only how long ago",
    "repeated": "this came before",
    "sync": "no frame begins here",
    "length": "this frame's length cannot be",
    "cobs": "this is no COBS",
    "slip": "this is no SLIP",
    "size": "this is no whole number of records",
    "other": "this is another kind of record",
    "missed": "the counter leapt",
    "restarted": "the counter began anew",
    "columns": "another number of cells than of columns",
    "number": "a cell is no number",
    "time": "the time cannot be read",
    "not_rising": "the time is that of the sample before, or lies behind it",
    "text": "a number stands there as text",
    "infinite": "a value is infinite or too large",
    "json": "this is no JSON",
    "missing": "no channel has a value",
    "too_long": "the line is too long",
    "torn": "the line is torn",
    "tag": "no source takes lines that begin so",
    "header": "this is the header",
    "sentence": "the sentence cannot be understood",
    "no_fix": "the receiver has no fix",
    "no_time": "the time is not known yet",
    "range": "the value does not fit the dtype",
    "implausible": "the value is outside of min, max or max_step",
    "unknown_state": "the value is none of those that values names",
    "decoder_failed": "the decoder has a bug",
}
"""What the reasons of faults mean."""
BAUDS: Final = (9600, 115_200, 57_600, 38_400, 19_200, 4800)
"""The usual ones, the likeliest first."""
_NAMES: Final[Mapping[str, str]] = {"nmea": "NMEA sentences", "json": "JSON", "csv": "rows of numbers"}
_BINARY: Final = frozenset(("binary", "cbor", "senml"))
"""Decoders that read bytes, not text."""
_NUMBER: Final = re.compile(r"\s*[+-]?(\d+([.]\d*)?|[.]\d+)([eE][+-]?\d+)?\s*|\s*|\s*[nN][aA][nN]\s*")
_NMEA: Final = re.compile(r"[$!][A-Z][A-Z0-9]{3,}")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+")
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_WITH_UNIT: Final = re.compile(r"([+-]?\d[\d.]*)\s*([A-Za-z°%µ/]+)")
_SEPARATORS: Final[Mapping[str, str]] = {";": ";", "\t": "\\t", "|": "|", ",": ",", " ": "whitespace"}
_FIELDS_SHOWN: Final = 6


def seems(raw: bytes) -> str:
    """What bytes seem to be: `nmea`, `json`, `csv` (numbers and what is between them), `text` or `binary`."""
    strange = sum(byte < 9 or 13 < byte < 32 or byte > 126 for byte in raw)
    if 5 * strange > len(raw):
        return "binary"
    text = raw.decode("utf-8", "replace").strip()
    if _NMEA.match(text):
        return "nmea"
    if text[:1] in ("{", "["):
        return "json"
    cells = [cell for cell in re.split(r"[,;\t| ]+", text) if cell]
    numbers = sum(_NUMBER.fullmatch(cell) is not None for cell in cells)
    return "csv" if numbers and 2 * numbers >= len(cells) else "text"


def advise(config: SourceConfig, keys: Mapping[str, Key], reason: str, raw: bytes, newest: bytes) -> str:
    """What to do about bytes that gave no sample; `keys` are the decoder's, `newest` the newest bytes of the source,
    which hold more than the example's beginning."""
    kind = seems(raw)
    if kind == "binary" and config.decoder not in _BINARY:
        return _binary(config)
    if (
        kind in _NAMES
        and kind != config.decoder
        and config.decoder in _NAMES
        and not (kind == "csv" and reason == "range")
    ):
        return f'these look like {_NAMES[kind]}: say decoder = "{kind}"' + _hint_of(config, kind)
    if reason == "range":
        return f'dtype = "{config.dtype}" holds whole numbers of its size only; leave dtype out, or say a wider one'
    if reason in ("implausible", "step", "min", "max"):
        return "see the sensor, or its min, max and max_step here"
    if reason == "unknown_state":
        named = "; ".join(_listed_states(channel, states) for channel, states in config.states.items())
        return f"values names {named}; name there what else it says, or see why it says it"
    if reason == "not_rising":
        return "does somebody send samples twice, or in another order?"
    by_decoder = {"csv": _csv, "json": _json, "nmea": _nmea}.get(config.decoder)
    return (by_decoder and by_decoder(config, keys, reason, raw, newest)) or (
        f"see what {config.decoder} takes: sensorloom agent keys {config.decoder}"
    )


def _listed_states(channel: str, states: States) -> str:
    codes = [str(code) for code, _ in states[:_FIELDS_SHOWN]]
    return f"{channel} {', '.join(codes)}" + (" …" if len(states) > _FIELDS_SHOWN else "")


def _binary(config: SourceConfig) -> str:
    if config.type != "serial":
        return f"is it text at all, neither packed nor encrypted? {config.decoder} reads text"
    baud = config.options.get("baud", 115_200)
    others = ", ".join(str(other) for other in BAUDS if other != baud)
    return f"is baud = {baud} right, as the sensor's manual says? Usual are {others}"


def _hint_of(config: SourceConfig, kind: str) -> str:
    return (
        ' and channels such as { lat = "deg", lon = "deg" }' if kind == "nmea" and "lat" not in config.channels else ""
    )


# --- csv


def _csv(config: SourceConfig, keys: Mapping[str, Key], reason: str, raw: bytes, newest: bytes) -> str:
    text = (_line_of(newest, raw) or raw).decode("utf-8", "replace").strip()
    separator = str(config.options.get("separator", ","))
    wanted = _columns(config)
    cells = _cells(text, separator)
    if reason == "time":
        return _time(
            config, keys, dict(zip(wanted, cells, strict=False)).get(str(config.options.get("time_column")), "")
        )
    if len(cells) != len(wanted):
        other = next((s for s in _SEPARATORS if s != separator and len(_cells(text, s)) == len(wanted)), "")
        if other and (len(cells) < len(wanted) or _all_decimal_commas(text)):
            return f'its cells are divided by {_named(other)}: say separator = "{_SEPARATORS[other]}"'
        if separator == "," and _all_decimal_commas(text):
            return _decimal_comma(keys)
        names = ", ".join(wanted)
        if len(cells) > len(wanted):
            more = ", ".join(
                f'"{name}"' for name in [*wanted, *(f"c{n + 1}" for n in range(len(wanted), len(cells)))][:8]
            )
            return f"{len(cells)} cells, but columns are {names}; name all in their order: columns = [{more}]"
        return f"{len(cells)} cells, but columns are {names}; name those that are there, in their order, in columns"
    bad = next((cell for cell in cells if not _NUMBER.fullmatch(cell)), "")
    if not bad:
        return ""
    if _ISO.match(bad) and cells.index(bad) == 0:
        return (
            f'cell 1, "{bad}", is a time: say time_column = "t" and columns = ["t", {", ".join(map(_quoted, wanted))}]'
        )
    if _DECIMAL_COMMA.fullmatch(bad):
        return _decimal_comma(keys)
    other = next((s for s in _SEPARATORS if s != separator and _are_numbers(_cells(text, s), len(wanted))), "")
    if other:  # decimal commas cut as many cells as there are: "4,5;2"
        return f'its cells are divided by {_named(other)}: say separator = "{_SEPARATORS[other]}"'
    with_unit = _WITH_UNIT.fullmatch(bad)
    if with_unit is not None:
        return f'cell {cells.index(bad) + 1}, "{bad}", has its unit in it; let the sensor send the number alone'
    where = f'cell {cells.index(bad) + 1}, "{printable(bad)[:20]}"'
    return f"{where}, is no number; take it out of channels, or name it in columns"


def _columns(config: SourceConfig) -> list[str]:
    time = config.options.get("time_column")
    given = config.options.get("columns")
    return [str(name) for name in given] if given else [*([str(time)] if time else []), *config.channels]


def _are_numbers(cells: list[str], count: int) -> bool:
    """Whether they are so many numbers, some perhaps with a decimal comma."""
    return len(cells) == count and all(_NUMBER.fullmatch(c) or _DECIMAL_COMMA.fullmatch(c) for c in cells)


def _cells(text: str, separator: str) -> list[str]:
    return [cell.strip() for cell in text.split(None if separator in ("whitespace", " ") else separator)]


def _named(separator: str) -> str:
    return {" ": "spaces", "\t": "tabs"}.get(separator, f'"{separator}"')


def _quoted(name: str) -> str:
    return f'"{name}"'


def _all_decimal_commas(text: str) -> bool:
    cells = [cell for cell in re.split(r"[;\t ]+", text) if cell]
    return len(cells) > 1 and all(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)


def _decimal_comma(keys: Mapping[str, Key]) -> str:
    if "decimal" in keys:
        return 'its numbers have a decimal comma: say decimal = ","'
    return "its numbers have a decimal comma; let the sensor write points"


def _time(config: SourceConfig, keys: Mapping[str, Key], found: str) -> str:
    if re.fullmatch(r"[+-]?\d+([.]\d+)?", found):
        whole = len(found.lstrip("+-").partition(".")[0])
        unit = "s" if whole <= 11 else "ms" if whole <= 14 else "us" if whole <= 17 else "ns"
        return f'its time is {found}: say time_unit = "{unit}", if it is that since 1970'
    if _ISO.match(found) and not re.search(r"(Z|z|[+-]\d\d(:?\d\d)?)$", found) and "timezone" in keys:
        return f'its time, "{found}", names no zone: say timezone = "UTC", or the zone of its clock'
    unit = config.options.get("time_unit", "iso")
    return f'its time is "{printable(found)[:30]}", time_unit = "{unit}" reads another form'


def _line_of(newest: bytes, raw: bytes) -> bytes:
    """The whole line that the example is the beginning of, where it is among the newest bytes."""
    begin = raw.strip()[:40]
    at = newest.rfind(begin) if begin else -1
    return newest[at:].partition(b"\n")[0] if at >= 0 else b""


# --- JSON


def _json(config: SourceConfig, keys: Mapping[str, Key], reason: str, raw: bytes, newest: bytes) -> str:
    found = _parsed(newest) or _parsed(_line_of(newest, raw)) or _parsed(raw)
    first = found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else found
    if not isinstance(first, dict):
        if isinstance(first, list):
            return f"{len(first)} values, but {len(config.channels)} channels: {', '.join(config.channels)}"
        return ""
    fields = dict(_paths(first))
    time_field = config.options.get("time_field")
    if reason == "time" and time_field:
        if str(time_field) in fields:
            return _time(config, keys, str(fields[str(time_field)]))
        return f'it has no time_field "{time_field}"; its fields are {_listed(fields)}'
    wanted = {name: str(dict(config.options.get("fields", {})).get(name, name)) for name in config.channels}
    absent = [name for name, path in wanted.items() if path not in fields]
    if absent:
        name, path = absent[0], wanted[absent[0]]
        near = (
            meant(path, fields)
            or next((f for f in fields if f.rpartition(".")[2] == path), "")
            or next(iter(fields), "")
        )
        example = f'{{ {name} = "{printable(near)}" }}'
        return f'it has no field "{path}"; its fields are {_listed(fields)}: say fields = {example}'
    texts = [path for path in wanted.values() if isinstance(fields[path], str)]
    if texts:
        return f'"{texts[0]}" is a text, "{printable(str(fields[texts[0]]))[:20]}"' + (
            ": say numbers_as_text = true" if "numbers_as_text" in keys else "; let the sensor send a number"
        )
    return ""


def _parsed(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text.strip().rpartition(b"\n")[2] or text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _paths(sample: Mapping[str, Any], before: str = "", depth: int = 4) -> Iterator[tuple[str, Any]]:
    for name, value in sample.items():
        path = f"{before}{name}"
        if isinstance(value, dict) and depth:
            yield from _paths(value, f"{path}.", depth - 1)
        else:
            yield path, value


def _listed(fields: Mapping[str, Any]) -> str:
    names = [printable(name)[:30] for name in fields][:_FIELDS_SHOWN]
    return ", ".join(names) + (", …" if len(fields) > len(names) else "")


# --- NMEA


def _nmea(config: SourceConfig, keys: Mapping[str, Key], reason: str, raw: bytes, newest: bytes) -> str:
    if reason in ("no_fix", "no_time"):
        return "give its antenna a free view of the sky; a cold start takes minutes"
    if reason == "no_checksum":
        return "are its lines cut? Let the receiver send checksums (*hh)"
    if reason in ("checksum", "garbage") and config.type == "serial":
        return f"bytes are lost or turned: see the wiring, and baud = {config.options.get('baud', 115_200)}"
    return ""
