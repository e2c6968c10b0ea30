"""Croissant (MLCommons) 1.0 and 1.1: a Parquet export, or a version where it lies, as JSON-LD with its RAI extension.

1.0 has no arrays: the signal is `repeated` there, and its shape stands in the description; 1.1 has `isArray` and
`arrayShape`. Labels are `annotation`s of the record. Keys of which nothing is known are left out. Croissant cannot take
rows out of an `.npy` file: of a version where it lies, each record says its shard and row, the shards are files with
their hashes, and the description says how a window is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from curation.documents.facts import ChannelFacts, DatasetFacts

VERSIONS: Final = ("1.0", "1.1")
_TYPES: Final = {"String": "sc:Text", "Int64": "cr:Int64", "Float32": "cr:Float32", "Float64": "cr:Float64"}
_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "annotation": "cr:annotation",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_CONTEXT_1_1: Final[dict[str, Any]] = {
    "arrayShape": "cr:arrayShape",
    "containedIn": "cr:containedIn",
    "description": {"@container": "@language"},
    "isArray": "cr:isArray",
    "name": {"@container": "@language"},
}
_PARQUET: Final = "application/x-parquet"
_NPY: Final = "application/x-npy"
SHARD: Final = "shard"
ROW: Final = "row"
_PLACES: Final = {
    SHARD: "The file that has the window: a NumPy array, (windows, steps, channels) float32",
    ROW: "The window's place in that file: numpy.load(shard, mmap_mode='r')[row] is",
}
_SPDX: Final = "https://spdx.org/licenses/{}.html"


class DescribedFile(NamedTuple):
    """A file with its hash."""

    part: str
    """Whose windows it holds."""
    path: str
    """Relative to the document."""
    size: int
    sha256: str


def croissant(
    facts: DatasetFacts,
    files: Sequence[DescribedFile],
    columns: Mapping[str, str],
    version: str,
    shards: Sequence[DescribedFile] | None = None,
) -> dict[str, Any]:
    """The document; `columns` are the table's names with Polars' types, without the signal's. `shards` has the signals
    where they are not in the tables: of a version where it lies, whose records say `SHARD` and `ROW`."""
    context = _CONTEXT | (_CONTEXT_1_1 if version == "1.1" else {})
    about = facts.about
    found: dict[str, Any] = {
        "@context": dict(sorted(context.items())),
        "@type": "sc:Dataset",
        "conformsTo": f"http://mlcommons.org/croissant/{version}",
        "name": facts.name,
        "description": about.description,
        "license": _license(about.license),
        "creator": [{"@type": "Organization", "name": name} for name in about.creators],
        "url": about.url,
        "citeAs": about.cite,
        "datePublished": facts.made[:10],
        "version": facts.version,
        **_rai(facts),
        "distribution": [*_distribution(facts, files), *(_object(it, _NPY) for it in shards or ())],
        "recordSet": [
            _splits(facts),
            *(_records(facts, part.name, columns, version, shards) for part in facts.parts if part.windows),
        ],
    }
    return {key: value for key, value in found.items() if value not in ("", [], None)}


def _license(text: str) -> str:
    return text if not text or "://" in text or " " in text else _SPDX.format(text)


def _distribution(facts: DatasetFacts, files: Sequence[DescribedFile]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in facts.parts:
        mine = [file for file in files if file.part == part.name]
        found += [_object(file, _PARQUET) for file in mine]
        found.append(
            {
                "@type": "cr:FileSet",
                "@id": f"{part.name}-files",
                "name": f"{part.name}-files",
                "encodingFormat": _PARQUET,
                "includes": [file.path for file in mine],
            }
        )
    return found


def _object(file: DescribedFile, kind: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.size} B",
        "encodingFormat": kind,
        "sha256": file.sha256,
    }


def _splits(facts: DatasetFacts) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [{"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"}],
        "data": [{"splits/name": part.name} for part in facts.parts],
    }


def _records(
    facts: DatasetFacts,
    part: str,
    columns: Mapping[str, str],
    version: str,
    shards: Sequence[DescribedFile] | None,
) -> dict[str, Any]:
    source = {"@id": f"{part}-files"}
    fields = [
        _field(f"{part}/{name}", name, _TYPES.get(kind, "sc:Text"), source, name)
        for name, kind in columns.items()
        if name not in ("label", "y", "share")
    ]
    shape = f"{facts.steps},{len(facts.channels)}"
    told = "; ".join(_told(channel) for channel in facts.channels)
    signal = (
        f"{shape} (steps, channels) at {facts.rate_hz:g} Hz, NaN where a value is missing. Over "
        f"{facts.statistics_of}: {told}"
    )
    if shards is None:
        field = _field(f"{part}/signal", "signal", "cr:Float32", source, "signal")
        array = {"isArray": True, "arrayShape": shape} if version == "1.1" else {"repeated": True}
        fields.append(field | {"description": signal} | array)
    else:
        for field in fields:
            if field["name"] in _PLACES:
                field["description"] = _PLACES[field["name"]]
                field["description"] += f": {signal}" if field["name"] == ROW else ""
    labels = [
        _field(f"{part}/label", "label", "sc:Text", source, "label"),
        _field(f"{part}/y", "y", "cr:Int64", source, "y"),
        _field(f"{part}/share", "share", "cr:Float64", source, "share"),
    ]
    labels[0]["description"] = _definitions(facts)
    labels[1]["description"] = "Number of the label among " + ", ".join(facts.classes) + "; -1: none"
    labels[2]["description"] = f"Share of the window's time under the label ({facts.policy})"
    of = next(each for each in facts.parts if each.name == part)
    counts = ", ".join(f"{label or 'unlabelled'} {count}" for label, count in of.labels.items())
    return {
        "@type": "cr:RecordSet",
        "@id": part,
        "name": part,
        "description": f"{of.windows} windows: {counts}",
        "key": {"@id": f"{part}/window"} if shards is None else [{"@id": f"{part}/{name}"} for name in (SHARD, ROW)],
        "field": fields,
        "annotation": labels,
    }


def _field(identity: str, name: str, kind: str, source: Mapping[str, Any], column: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": identity,
        "name": name,
        "dataType": kind,
        "source": {"fileSet": dict(source), "extract": {"column": column}},
    }


def _told(channel: ChannelFacts) -> str:
    unit = f" {channel.unit}" if channel.unit else ""
    if channel.mean is None:
        return f"{channel.name}: no value"
    figures = f"mean {channel.mean:.6g}, std {channel.std:.6g}, min {channel.min:.6g}, max {channel.max:.6g}{unit}"
    return f"{channel.name}: {figures}, {channel.missing} of {channel.missing + channel.count} missing"


def _definitions(facts: DatasetFacts) -> str:
    said = [f"{name}: {each.definition}" for name, each in facts.plan.classes.items() if each.definition]
    return "; ".join(said) or "The window's label"


def _rai(facts: DatasetFacts) -> dict[str, Any]:
    """The responsible-AI extension, of what is known."""
    sources = "; ".join(f"{each.role} ({each.tool}): {each.marks} marks" for each in facts.label_sources)
    found = {
        "rai:dataCollection": "; ".join(facts.plan.sources),
        "rai:dataCollectionType": ["Physical data collection"],
        "rai:dataCollectionMissingData": ", ".join(f"{why}: {count} windows" for why, count in facts.drops.items()),
        "rai:dataCollectionTimeFrame": [facts.since[:10], facts.until[:10]] if facts.since else [],
        "rai:dataPreprocessingProtocol": [
            f"Resampled to {facts.rate_hz:g} Hz ({facts.interpolation}), "
            f"windows of {facts.steps} steps every {facts.hop}"
        ],
        "rai:dataAnnotationProtocol": f"Marks on a timeline; a window's label: {facts.policy}",
        "rai:dataAnnotationAnalysis": [sources] if sources else [],
        "rai:dataUseCases": [facts.plan.purpose] if facts.plan.purpose else [],
        "rai:dataBiases": [facts.about.ethics] if facts.about.ethics else [],
        "rai:personalSensitiveInformation": [facts.privacy.consent] if facts.privacy.personal else [],
    }
    return {key: value for key, value in found.items() if value}
