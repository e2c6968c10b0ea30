"""Whether a topic is set up so that promises can be kept on it. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from ingest.log.protocol import TOPICS, TopicSpec
from ingest.showing import counted

SETTINGS: Final = (
    "message.timestamp.type",
    "cleanup.policy",
    "max.message.bytes",
    "retention.ms",
    "retention.bytes",
    "min.insync.replicas",
)
_FOR_EVER: Final = -1
_MS_PER_DAY: Final = 86_400_000


class Setup(NamedTuple):
    """What a cluster says of one topic."""

    partitions: int
    replicas: int
    """Of the partition that has fewest."""
    brokers: int
    """In the cluster."""
    settings: Mapping[str, str]
    """At least `SETTINGS`."""

    @property
    def max_message_bytes(self) -> int:
        """The largest record batch that the topic takes."""
        return int(self.settings["max.message.bytes"])


def spec_of(topic: str) -> TopicSpec:
    """How a topic is kept: by the part of its name behind the site's prefix."""
    known = TOPICS.get(topic.rpartition(".")[2])
    return dataclasses.replace(known, name=topic) if known else TopicSpec(topic)


def fault(spec: TopicSpec, setup: Setup, bootstrap: str) -> str:
    """What breaks a promise, with the command that changes it; empty where nothing does."""
    settings = setup.settings
    policies = set(settings["cleanup.policy"].replace(" ", "").split(","))
    if spec.append_timed and settings["message.timestamp.type"] != "LogAppendTime":
        return _wrong(spec, settings, "message.timestamp.type", "LogAppendTime", bootstrap)
    if spec.compacted and ("compact" not in policies or ("delete" in policies and _forgets(settings))):
        return _wrong(spec, settings, "cleanup.policy", "compact", bootstrap)
    if not spec.compacted and "compact" in policies:
        return _wrong(spec, settings, "cleanup.policy", "delete", bootstrap)
    return ""


def shrunk(spec: TopicSpec, partitions: int, setup: Setup, bootstrap: str) -> str:
    """That a topic in use is another one than it was, with fewer partitions, and what to do; empty where it is not."""
    if setup.partitions >= partitions:
        return ""
    return (
        f"it has {counted(setup.partitions, 'partition')}, had {partitions} as this process began: somebody deleted "
        "it, and what it held is gone; the broker, or somebody, made it anew (auto.create.topics.enable=false keeps a "
        f"broker from that); what waits goes on with: kafka-topics.sh --bootstrap-server {bootstrap} --alter "
        f"--topic {spec.name} --partitions {partitions}"
    )


def missing(spec: TopicSpec, partitions: int, bootstrap: str) -> str:
    """That a topic in use is there no more, and what to do."""
    config = "".join(f" --config {name}={value}" for name, value in wanted(spec).items())
    return (
        "it does not exist any more: somebody deleted it, and what it held is gone; what waits goes on with: "
        f"kafka-topics.sh --bootstrap-server {bootstrap} --create --topic {spec.name} --partitions {partitions}{config}"
    )


def wanted(spec: TopicSpec) -> dict[str, str]:
    """The settings that a topic is created with."""
    settings = {"message.timestamp.type": "LogAppendTime"}
    if spec.compacted:
        settings["cleanup.policy"] = "compact"
    if spec.retention_ms is not None:
        settings["retention.ms"] = str(spec.retention_ms)
    if spec.retention_bytes is not None:
        settings["retention.bytes"] = str(spec.retention_bytes)
    return settings


def remarks(spec: TopicSpec, setup: Setup, bootstrap: str) -> Iterator[str]:
    """What is allowed, and what a person should know of."""
    where, settings = f'topic "{spec.name}"', setup.settings
    if spec.retention_ms == _FOR_EVER and _forgets(settings):
        kept = [name for name in ("retention.ms", "retention.bytes") if int(settings[name]) != _FOR_EVER]
        wanted = ",".join(f"{name}={_FOR_EVER}" for name in kept)
        yield (
            f"{where}: its records are kept {_kept(settings)}, and labels are made of them for ever; keep them: "
            + _command(spec, wanted, bootstrap)
        )
    if not (spec.append_timed or spec.compacted):
        return
    if setup.replicas == 1 and setup.brokers > 1:
        yield (
            f"{where}: one broker alone has each record (replication factor 1, {setup.brokers} brokers): when its disk "
            "is lost, so is all of it; raise the factor with kafka-reassign-partitions.sh"
        )
    elif setup.replicas > 1 and int(settings["min.insync.replicas"]) == 1:
        yield (
            f"{where}: a record counts as kept when one broker has it (min.insync.replicas=1), and is lost with that "
            "broker; change it with: " + _command(spec, "min.insync.replicas=2", bootstrap)
        )


def changes(spec: TopicSpec, before: Setup, now: Setup) -> Iterator[str]:
    """What of a running process's topic was changed under it, faults left out."""
    where = f'topic "{spec.name}"'
    if now.partitions > before.partitions:
        yield (
            f"{where}: it has {now.partitions} partitions now, had {before.partitions}; who runs goes on with "
            f"{before.partitions}, who starts sends keys elsewhere, and datasets have to be made anew"
        )
    if now.max_message_bytes != before.max_message_bytes:
        yield f"{where}: max.message.bytes is {now.max_message_bytes} now, was {before.max_message_bytes}"


def _forgets(settings: Mapping[str, str]) -> bool:
    return int(settings["retention.ms"]) != _FOR_EVER or int(settings["retention.bytes"]) != _FOR_EVER


def _kept(settings: Mapping[str, str]) -> str:
    ms, size = int(settings["retention.ms"]), int(settings["retention.bytes"])
    bounds = [f"for {ms / _MS_PER_DAY:.3g} days"] * (ms != _FOR_EVER)
    return " and ".join(bounds + [f"up to {size} bytes a partition"] * (size != _FOR_EVER))


def _wrong(spec: TopicSpec, settings: Mapping[str, str], name: str, wanted: str, bootstrap: str) -> str:
    command = _command(spec, f"{name}={wanted}", bootstrap)
    return f"found {name}={settings[name]}, needs {wanted}; change it with: {command}"


def _command(spec: TopicSpec, settings: str, bootstrap: str) -> str:
    return (
        f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics --entity-name {spec.name} "
        f"--add-config {settings}"
    )
