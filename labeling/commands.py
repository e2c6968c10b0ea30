"""`sensorloom rules`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ingest.commandline import say_aside
from ingest.showing import printable

if TYPE_CHECKING:
    from ingest.records import StreamDescription
    from labeling.rules.compile import RuleSet
    from labeling.rules.trials import Expected


def register(subparsers: Any) -> None:
    """Add the commands' parsers."""
    parser = subparsers.add_parser(
        "rules", help="check and test event rules", epilog="example: sensorloom rules check rules.yaml"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="validate a rule file",
        description="Validate a rule file: its form, its expressions and, with --log, channels and units against the "
        "descriptions of the streams in a log. All that is wrong is told at once (exit code 2), also what is valid and "
        "hardly meant: a condition that is never true, a rule that goes on and off at each sample (1).",
        epilog="example: sensorloom rules check rules.yaml --log segments:site/log",
    )
    check.add_argument("file", metavar="RULES.yaml", help="the rule file")
    check.add_argument("--log", metavar="URL", help="segments:DIR or kafka://host:9092[,host:9092]")
    check.add_argument("--json", action="store_true", help="report as JSON")
    check.set_defaults(run=run_check)
    test = actions.add_parser(
        "test",
        help="run the tests written in a rule file",
        description="Run the tests under the file's key tests: samples in, and exactly the expected marks out.",
        epilog="example: sensorloom rules test rules.yaml",
    )
    test.add_argument("file", metavar="RULES.yaml", help="the rule file")
    test.add_argument("--json", action="store_true", help="report as JSON")
    test.set_defaults(run=run_test)


def run_check(args: argparse.Namespace) -> int:
    """`sensorloom rules check`."""
    from labeling.rulefile import read_rules
    from labeling.rules.contradictions import doubts
    from labeling.rules.errors import Faults
    from labeling.rules.plan import check

    rules = read_rules(Path(args.file))
    known: set[str] = set()
    if args.log is not None:
        descriptions = _descriptions(args.log)
        known = {description.stream for description in descriptions}
        faults = Faults()
        for described in (*([description] for description in descriptions), descriptions):
            faults.attempt(partial(check, rules, described), None)  # at last where streams meet, under the newest ones
        faults.raise_all()
    undescribed = sorted(rules.streams - known) if args.log is not None else []
    doubtful = doubts(rules.rules)
    if args.json:
        print(_json(_report(rules) | {"undescribed": undescribed, "doubts": list(map(str, doubtful))}))
        return int(bool(doubtful))
    for rule in rules.rules:
        print(printable(f"{rule.label}  reads {', '.join(rule.streams)}  revision {rule.revision}"))
    print(printable(f"{args.file}: {len(rules.rules)} rules, revision {rules.revision}"))
    for stream in undescribed:
        say_aside(f"{args.file}: {args.log} has no description of the stream {stream}: not checked")
    for doubt in doubtful:
        say_aside(str(doubt))
    return int(bool(doubtful))


def _report(rules: RuleSet) -> dict[str, Any]:
    listed = [{"label": rule.label, "streams": rule.streams, "revision": rule.revision} for rule in rules.rules]
    return {"revision": rules.revision, "rules": listed}


def _descriptions(url: str) -> tuple[StreamDescription, ...]:
    """All stream descriptions in a log, oldest first. Raises `UsageError` where there is no log."""
    import asyncio

    from ingest.opening import check_begun, open_log
    from ingest.schemas import SchemaRegistry

    check_begun(url)

    async def read() -> tuple[StreamDescription, ...]:
        log = open_log(url)
        try:
            registry = SchemaRegistry(log)
            await registry.refresh()
            return registry.descriptions
        finally:
            await log.close()

    return asyncio.run(read())


def run_test(args: argparse.Namespace) -> int:
    """`sensorloom rules test`; 1 where a test fails, or there is none."""
    from labeling.rulefile import read_rules
    from labeling.rules.trials import run_trial

    rules = read_rules(Path(args.file))
    trials = [run_trial(rules, test) for test in rules.tests]
    failed = sum(not trial.holds for trial in trials)
    if not trials:
        say_aside(f"{args.file}: there are no tests; write them under the key tests")
    if args.json:
        told = [
            {"name": t.name, "holds": t.holds, "missing": _marks(t.missing), "surplus": _marks(t.surplus)}
            for t in trials
        ]
        print(_json({"tests": told, "failed": failed}))
        return int(failed > 0 or not trials)
    for trial in trials:
        print(printable(f"{'ok    ' if trial.holds else 'FAILED'}  {trial.name}"))
        for text, marks in (("expected, did not come", trial.missing), ("came, not expected", trial.surplus)):
            for label, start_ns, end_ns in marks:
                print(printable(f"        {text}: {label} from {start_ns / 1e9:g}s to {end_ns / 1e9:g}s"))
    print(printable(f"{args.file}: {len(trials)} tests, {failed} failed"))
    return int(failed > 0 or not trials)


def _marks(marks: tuple[Expected, ...]) -> list[dict[str, Any]]:
    return [{"label": label, "start_ns": start_ns, "end_ns": end_ns} for label, start_ns, end_ns in marks]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
