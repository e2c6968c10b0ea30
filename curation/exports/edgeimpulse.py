"""Edge Impulse's acquisition format, a signed file a window: `training/run.000000001.json`, and `info.labels`.

The signature is the HMAC-SHA256 of the file's bytes with 64 zeros in its place, under the project's key, as the
ingestion service checks it; JSON is compact. Missing values are none of it: such windows are left out, counted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from curation.exports.content import Batch, Content, Part, Signal
from ingest.errors import MissingLibraryError, UsageError

_ZEROS: Final = "0" * 64
CATEGORIES: Final = {"train": "training", "data": "training", "test": "testing"}
_UNSAFE: Final = re.compile(r"[^\w-]+")
_UNLABELLED: Final = "unlabeled"


@dataclass(frozen=True, slots=True)
class EdgeImpulse:
    """How it is written: with which key (None: unsigned), as JSON or CBOR."""

    key: bytes | None = None
    cbor: bool = False

    def write(self, content: Content, folder: Path) -> None:
        """Write all parts. Raises `UsageError` for a part that Edge Impulse does not have."""
        encode = self._encoder()
        listed: list[dict[str, Any]] = []
        for part in content.parts:
            rows = part.table.iter_rows(named=True)
            for batch in part.batches():
                for X in batch.X:
                    row = next(rows)
                    path = self._path(part, len(listed), row["label"])
                    (folder / path).parent.mkdir(exist_ok=True)
                    (folder / path).write_bytes(self._signed(encode, self._message(content, row, X)))
                    label = {"type": "unlabeled"} if row["label"] is None else {"type": "label", "label": row["label"]}
                    meta = {name: str(row[name]) for name in ("window", "recording", *content.attributes) if row[name]}
                    category = _category(part.name)
                    listed.append({"path": path, "category": category, "label": label, "metadata": meta})
        (folder / "info.labels").write_text(json.dumps({"version": 1, "files": listed}, ensure_ascii=False))

    def _path(self, part: Part, number: int, label: str | None) -> str:
        stem = _UNSAFE.sub("_", label or _UNLABELLED)
        return f"{_category(part.name)}/{stem}.{number:09d}.{'cbor' if self.cbor else 'json'}"

    def _encoder(self) -> Callable[[Any], bytes]:
        if not self.cbor:
            return lambda message: json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
        try:
            from cbor2 import dumps
        except ImportError as error:
            raise MissingLibraryError("CBOR", error.name, "edge") from None
        return dumps

    def _message(self, content: Content, row: dict[str, Any], X: Signal) -> dict[str, Any]:
        iat = 0 if row["t0_ns"] is None else row["t0_ns"] // 10**9
        alg = "none" if self.key is None else "HS256"
        sensors = [
            {"name": name, "units": unit or "N/A"} for name, unit in zip(content.channels, content.units, strict=True)
        ]
        return {
            "protected": {"ver": "v1", "alg": alg, "iat": iat},
            "signature": _ZEROS,
            "payload": {
                "device_name": row["device"],
                "device_type": "SENSORLOOM",
                "interval_ms": 1000 / content.rate_hz,
                "sensors": sensors,
                # The shortest decimals that are read as the same float32.
                "values": X.astype(np.str_).astype(np.float64).tolist(),
            },
        }

    def _signed(self, encode: Callable[[Any], bytes], message: dict[str, Any]) -> bytes:
        data = encode(message)
        if self.key is None:
            return data
        return data.replace(_ZEROS.encode(), hmac.new(self.key, data, hashlib.sha256).hexdigest().encode(), 1)

    def read(self, content: Content, folder: Path) -> tuple[str, Iterator[tuple[str, Iterator[Batch]]]]:
        """Each part by a reader of its JSON or CBOR that checks the signatures."""
        with (folder / "info.labels").open() as file:
            listed = json.load(file)["files"]
        place = {name: number for number, name in enumerate(content.classes)}
        begins = np.cumsum([0, *map(len, content.parts)])
        by = ("cbor2" if self.cbor else "json") + ("" if self.key is None else ", signatures checked")
        return by, (
            (part.name, self._files(folder, listed[begins[number] : begins[number + 1]], place))
            for number, part in enumerate(content.parts)
        )

    def _files(self, folder: Path, listed: Sequence[dict[str, Any]], place: dict[str, int]) -> Iterator[Batch]:
        for each in listed:
            data = (folder / each["path"]).read_bytes()
            X = np.array(self._opened(data)["payload"]["values"], np.float64).astype(np.float32)
            y = place.get(each["label"].get("label", ""), -1)
            yield Batch(X[None], np.array([y]), [each["metadata"]["window"]])

    def _opened(self, data: bytes) -> Any:
        if self.cbor:
            from cbor2 import loads

            message = loads(data)
        else:
            message = json.loads(data)
        if self.key is not None:
            given = message["signature"]
            plain = data.replace(given.encode(), _ZEROS.encode(), 1)
            if not hmac.compare_digest(given, hmac.new(self.key, plain, hashlib.sha256).hexdigest()):
                raise ValueError("a file's signature is wrong")
        return message


def _category(part: str) -> str:
    found = CATEGORIES.get(part)
    if found is None:
        raise UsageError(f'export: Edge Impulse has the parts "train" and "test"; found "{part}"')
    return found


def whole_only(part: Part) -> Part:
    """The windows of a part without a missing value."""
    rows = [
        begin + np.flatnonzero(~np.isnan(batch.X).any(axis=(1, 2)))
        for begin, batch in zip(range(0, len(part), 512), part.batches(512), strict=True)
    ]
    return part.kept(np.concatenate([np.empty(0, np.int64), *rows]))
