"""What bytes nobody has described may be: a decoder each, with the channels and keys by which it would read them. Pure.

A guess is made from lines (or messages) as they came. How good it is, the decoder itself says (`probe.scoring`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import msgspec

from edge.decoders.nmea.decoder import UNITS as NMEA_UNITS
from edge.decoders.senml.pack import RELATIVE, UNITS, BadPackError, resolved
from edge.protocol import ClockKind
from ingest.errors import UsageError
from ingest.measures import check_unit

MOST: Final = 200
"""So many lines are looked at."""
_NOTES: Final = 8
"""So many pairs that are not read are named."""
CHANNELS_MOST: Final = 32
_SHARE: Final = 0.8
"""A column is one of numbers, a field is there, where that is so of this part of the lines."""
_NUMBER: Final = re.compile(r"[+-]?(\d+([.]\d*)?|[.]\d+)([eE][+-]?\d+)?|[nN][aA][nN]")
_COMMA_NUMBER: Final = re.compile(r"[+-]?\d+,\d+")
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|z|[+-]\d\d(:?\d\d)?)")
_ANY_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_PAIR: Final = re.compile(r"([A-Za-z_][\w.\-]*)\s*[=:]\s*([^\s,;|]+)")
_SENTENCE: Final = re.compile(r"[$!][A-Z][A-Z0-9]{3,}")
_SEPARATORS: Final = (";", "\t", "|", ",", "whitespace")
_TIME_WORDS: Final = frozenset(("t", "ts", "time", "timestamp", "date", "datetime", "utc", "reported_at", "_timestamp"))
_UNITS_SINCE_1970: Final[Mapping[str, float]] = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
_YEARS_NS: Final = (1.26e18, 4.1e18)
"""2010 to 2100: a number that lies there in one of these units is a time since 1970."""
_COUNTS: Final = 8
"""So many rows in which a column only rises, by whole numbers, count something."""


@dataclass(frozen=True, slots=True)
class Guess:
    """How bytes might be read."""

    decoder: str
    channels: Mapping[str, str]
    """By name the unit; empty where nothing says which."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the decoder's own."""
    clock: ClockKind = "arrival"
    notes: tuple[str, ...] = ()
    """What was seen and is not read, for people."""


def guesses(lines: Sequence[bytes], *, are_messages: bool) -> Iterator[Guess]:
    """All that these lines, or messages, may be; the most special first."""
    some = [line.strip(b"\r\n\0 ") for line in lines[:MOST]]
    texts = [text for text in map(_text, some) if text]
    parsed = [found for found in map(_json, texts) if isinstance(found, dict | list)]
    packed = [] if 2 * len(texts) > len(some) or not are_messages else [_cbor(line) for line in some]
    if 2 * len(parsed) > len(texts) or packed:
        is_text = not packed
        found = list(_senml(parsed if is_text else packed))
        yield from found or _objects("json" if is_text else "cbor", parsed if is_text else packed)
        return
    if any(map(_SENTENCE.match, texts)):
        yield Guess("nmea", dict(NMEA_UNITS), clock="device")
        return
    yield from _pairs(texts)
    rows = _rows(texts)
    yield from (guess for guess in rows if _is_told_apart(guess))
    yield from _patterns(texts)
    yield from (guess for guess in rows if not _is_told_apart(guess))


def _text(line: bytes) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return ""
    return text if text.replace("\t", " ").replace("\n", " ").replace("\r", " ").isprintable() else ""


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _cbor(data: bytes) -> Any:
    try:
        import cbor2

        return cbor2.loads(data)
    except Exception:  # no CBOR, or no library: it is no guess then
        return None


# --- SenML, objects


def _senml(found: Sequence[Any]) -> Iterator[Guess]:
    units: dict[str, str] = {}
    prefixes, is_relative, packs = set[str](), False, 0
    for pack in found:
        try:
            entries = list(resolved(pack))
        except BadPackError:
            continue
        if not any({"bn", "n", -2, 0} & set(record) for record in pack):
            continue
        packs += 1
        prefixes.add(str(next((record[key] for record in pack for key in ("bn", -2) if key in record), "")))
        for entry in entries:
            if isinstance(entry.value, int | float) or entry.value is None:
                units.setdefault(entry.name, UNITS.get(entry.unit, entry.unit))
                is_relative |= entry.time < RELATIVE
    if not units or 2 * packs < len(found) or len(units) > CHANNELS_MOST:
        return
    prefix = prefixes.pop() if len(prefixes) == 1 else ""
    named = {name: name.removeprefix(prefix) or name for name in units}
    names = dict(zip(units, _distinct(list(named.values())), strict=True))
    fields = {names[full]: full for full in units if names[full] != named[full] or not full.startswith(prefix)}
    options: dict[str, Any] = ({"prefix": prefix} if prefix else {}) | ({"fields": fields} if fields else {})
    channels = {names[full]: _known(unit) for full, unit in units.items()}
    yield Guess("senml", channels, options, "arrival" if is_relative else "device")


def _known(unit: str) -> str:
    try:
        check_unit(unit)
    except UsageError:
        return ""
    return unit


def _objects(decoder: str, found: Sequence[Any]) -> Iterator[Guess]:
    flat = [one for item in found for one in (item if isinstance(item, list) and _holds(item) else [item])]
    objects = [dict(_paths(one)) for one in flat if isinstance(one, dict)]
    if 2 * len(objects) > len(flat):
        yield from _fields(decoder, objects)
        return
    widths = Counter(len(one) for one in flat if isinstance(one, list) and one and all(map(_is_number, one)))
    if widths:
        yield Guess(decoder, dict.fromkeys(_numbered(widths.most_common(1)[0][0]), ""))


def _holds(items: Sequence[Any]) -> bool:
    return any(isinstance(item, dict | list) for item in items)


def _fields(decoder: str, objects: Sequence[Mapping[str, Any]]) -> Iterator[Guess]:
    counts = Counter(path for one in objects for path, value in one.items() if _is_number(value))
    as_text = not counts  # beside numbers, digits in quotes are a name
    if as_text:
        counts = Counter(path for one in objects for path, value in one.items() if _is_numeric(value))
    columns = {path: [one[path] for one in objects if path in one] for one in objects for path in one}
    time, options = _time_of(columns, "time_field")
    often = [path for path, count in counts.items() if count >= (1 - _SHARE) * len(objects) and path != time]
    unread = [path for path in often if _unit_since_1970(columns[path])]
    paths = [path for path in often if path not in unread][:CHANNELS_MOST]
    if not paths:
        return
    if as_text:
        options["numbers_as_text"] = True
    names = _distinct([path.rpartition(".")[2] for path in paths], paths)
    fields = {name: path for name, path in zip(names, paths, strict=True) if name != path}
    yield Guess(
        decoder,
        dict.fromkeys(names, ""),
        ({"fields": fields} if fields else {}) | options,
        "device" if time else "arrival",
        tuple(f"{path}, as in {columns[path][-1]}, is a time: it is not read" for path in unread),
    )


def _paths(found: Mapping[Any, Any], before: str = "", depth: int = 4) -> Iterator[tuple[str, Any]]:
    for name, value in found.items():
        path = f"{before}{name}"
        if isinstance(value, dict) and depth:
            yield from _paths(value, f"{path}.", depth - 1)
        else:
            yield path, value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_numeric(value: Any) -> bool:
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


# --- lines


def _pairs(texts: Sequence[str]) -> Iterator[Guess]:
    found = [dict(_PAIR.findall(text)) for text in texts]
    counts = Counter(name for pairs in found for name, value in pairs.items() if _NUMBER.fullmatch(value))
    names = [name for name, count in counts.items() if count >= (1 - _SHARE) * len(texts)]
    columns = {name: [pairs[name] for pairs in found if name in pairs] for name in counts}
    time, options = _time_of(columns, "time_field")
    channels = [name for name in names if name != time][:CHANNELS_MOST]
    if channels:
        bars = sum("|" in text for text in texts)
        options |= {"separator": "|"} if 2 * bars > len(texts) else {}
        others = {name: value for pairs in found for name, value in pairs.items() if name not in (time, *channels)}
        notes = tuple(_unread(name, value) for name, value in list(others.items())[:_NOTES])
        yield Guess("keyvalue", dict.fromkeys(channels, ""), options, "device" if time else "arrival", notes)


def _rows(texts: Sequence[str]) -> list[Guess]:
    """Those that leave the least unread come first, then those with more columns."""
    tables = [table for table in (_table(texts, separator) for separator in _SEPARATORS) if table is not None]
    return sorted(tables, key=lambda guess: (len(guess.notes), -len(guess.options.get("columns", guess.channels))))


def _is_told_apart(guess: Guess) -> bool:
    """Whether a table's cells are more than the words of a sentence."""
    return guess.options.get("separator") != "whitespace" or not guess.notes


def _table(texts: Sequence[str], separator: str) -> Guess | None:
    split = None if separator == "whitespace" else separator
    rows = [[cell.strip().strip('"') for cell in text.split(split)] for text in texts if not text.startswith("#")]
    if not rows:
        return None
    width = Counter(map(len, rows)).most_common(1)[0][0]
    if width > CHANNELS_MOST or (width == 1 and separator != ","):
        return None
    rows = [row for row in rows if len(row) == width]
    header = next((row for row in rows if all(cell and not _reads(cell, separator) for cell in row)), None)
    rows = [row for row in rows if row != header]
    columns = [[row[at] for row in rows] for at in range(width)]
    numeric = [at for at, cells in enumerate(columns) if _are_numbers(cells, separator)]
    if not numeric:
        return None
    names = _distinct([_name(cell) for cell in header]) if header else _numbered(width)
    by_name = dict(zip(names, columns, strict=True))
    time, options = _time_of(by_name, "time_column")
    rising = [names[at] for at in numeric if names[at] != time and _only_rises(columns[at]) and len(numeric) > 1]
    channels = [names[at] for at in numeric if names[at] != time and names[at] not in rising[:1]]
    if not channels:
        return None
    if separator != ",":
        options["separator"] = separator
    if separator not in (",", ";") and any(_COMMA_NUMBER.fullmatch(cell) for cells in columns for cell in cells):
        options["decimal"] = ","
    if channels != names:
        options["columns"] = names
    unread = [name for name in names if name != time and name not in channels]
    notes = tuple(f'{name} only rises, as in "{by_name[name][-1]}": it is not read' for name in rising[:1])
    notes += tuple(_unread(name, by_name[name][-1]) for name in unread if name not in rising[:1])
    return Guess("csv", dict.fromkeys(channels, ""), options, "device" if time else "arrival", notes)


def _unread(name: str, cell: str) -> str:
    if _ANY_ISO.match(cell):
        return f'{name}, as in "{cell}", names no zone, and is not read: say time_column = "{name}" and its timezone'
    return f'{name}, as in "{cell}", is not read'


def _reads(cell: str, separator: str) -> bool:
    """Whether a cell is a number, or none is there."""
    return not cell or bool(_NUMBER.fullmatch(cell) or (separator != "," and _COMMA_NUMBER.fullmatch(cell)))


def _are_numbers(cells: Sequence[str], separator: str) -> bool:
    return any(cells) and sum(_reads(cell, separator) for cell in cells) >= _SHARE * len(cells)


def _only_rises(cells: Sequence[str]) -> bool:
    return (
        len(cells) >= _COUNTS
        and all(cell.isdecimal() for cell in cells)
        and all(int(before) < int(after) for before, after in pairwise(cells))
    )


def _patterns(texts: Sequence[str]) -> Iterator[Guess]:
    """A regular expression for lines that are one sentence with other numbers in it each time."""
    number = re.compile(r"(?<![\w.])[+-]?\d+(?:[.]\d+)?")
    counts = Counter(number.sub("\0", text) for text in texts)
    if not counts:
        return
    template, count = counts.most_common(1)[0]
    parts = template.split("\0")
    if count < _SHARE * len(texts) or not 1 < len(parts) <= CHANNELS_MOST or not re.search("[A-Za-z]", template):
        return
    words = [re.findall(r"[A-Za-z_]\w*", part) for part in parts[:-1]]
    names = _distinct([found[-1] if found else f"c{at}" for at, found in enumerate(words, 1)])
    pattern = re.escape(parts[0]).replace("\\ ", " ")
    for name, part in zip(names, parts[1:], strict=True):
        pattern += rf"(?P<{name}>[-+0-9.]+)" + re.escape(part).replace("\\ ", " ")
    yield Guess("regex", dict.fromkeys(names, ""), {"pattern": pattern})


# --- times, names


def _time_of(columns: Mapping[str, Sequence[Any]], key: str) -> tuple[str, dict[str, Any]]:
    """Which column is the device's own time, and the keys that say so; nothing where none is for certain."""
    named = sorted(columns, key=lambda name: name.rpartition(".")[2].lower() not in _TIME_WORDS)
    for name in named:
        values = [value for value in columns[name] if value not in ("", None)]
        is_named = name.rpartition(".")[2].lower() in _TIME_WORDS
        if not values or not (is_named or name == next(iter(columns))):
            continue
        if all(isinstance(value, str) and _ISO.fullmatch(value) for value in values):
            return name, {key: name}
        unit = _unit_since_1970(values)
        if unit:
            return name, {key: name, "time_unit": unit}
    return "", {}


def _unit_since_1970(values: Sequence[Any]) -> str:
    """The unit in which all of these are times since 1970; empty where they are none."""
    numbers = [float(value) for value in values if _is_number(value) or _is_numeric(value)]
    if not numbers or len(numbers) < len(values):
        return ""
    scales = _UNITS_SINCE_1970.items()
    return next((unit for unit, scale in scales if all(_lies_there(value * scale) for value in numbers)), "")


def _lies_there(time_ns: float) -> bool:
    return _YEARS_NS[0] <= time_ns <= _YEARS_NS[1]


def _numbered(count: int) -> list[str]:
    return ["value"] if count == 1 else [f"c{number}" for number in range(1, count + 1)]


def _name(text: str) -> str:
    return re.sub(r"\s+", "_", "".join(sign for sign in text if sign.isprintable()).strip())[:40] or "c"


def _distinct(names: Sequence[str], longer: Iterable[str] | None = None) -> list[str]:
    """The names, each once: those that come twice are written longer, or numbered."""
    counts = Counter(names)
    wanted = [name if counts[name] == 1 else long for name, long in zip(names, longer or names, strict=True)]
    taken: set[str] = set()
    found = []
    for name in wanted:
        number, own = 1, name
        while own in taken:
            number += 1
            own = f"{name}_{number}"
        taken.add(own)
        found.append(own)
    return found
