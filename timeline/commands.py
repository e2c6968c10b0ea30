"""`sensorloom label`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ingest.commandline import say_aside

if TYPE_CHECKING:
    from timeline.people.accounts import People
    from timeline.site import Settings

_SERVE: Final = """\
examples:
  sensorloom label serve site
  sensorloom label serve --log kafka://127.0.0.1:9092 --people people
  sensorloom label serve site --listen 0.0.0.0:8443 --tls-cert timeline.pem \\
      --tls-key timeline.key

On this machine alone (the default) it prints a link that opens once, until there are accounts. Where others can reach
it, it wants accounts and TLS: `sensorloom label user add anna --role annotator --people site/people`.
"""
_USER: Final = """\
examples:
  sensorloom label user add anna --role annotator --people site/people
  sensorloom label user token button-3 --people site/people
  sensorloom label user list --people site/people

A viewer sees; an annotator marks, and changes their own marks and rules'; a reviewer changes everybody's; an admin is
all of that. The password is asked for, or read from stdin where that is no terminal. Servers see a change at once.
"""


def register(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "label", help="the operators' timeline in the browser", epilog="example: sensorloom label serve site"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _register_serve(actions)
    user = actions.add_parser("user", help="who may use a timeline", epilog=_USER)
    does = user.add_subparsers(dest="does", metavar="ACTION", required=True)
    add = _user_command(does, "add", "add somebody, or give them another role or password")
    add.add_argument("--role", required=True, metavar="ROLE", help="viewer, annotator, reviewer or admin")
    add.add_argument("--no-password", action="store_true", help="a program, which signs in with tokens only")
    add.set_defaults(run=run_add)
    _user_command(does, "remove", "remove somebody; their sessions end").set_defaults(run=run_remove)
    token = _user_command(does, "token", "make a token for a program, and print it once")
    token.add_argument("--name", default="token", metavar="NAME", help="its name; one of this name is replaced")
    token.set_defaults(run=run_token)
    listing = _user_command(does, "list", "list who there is", named=False)
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    listing.set_defaults(run=run_list)


def _register_serve(actions: Any) -> None:
    serve = actions.add_parser(
        "serve",
        help="the labeling server and its page",
        description="Serve the timeline of a log: its signals as they come and as they were, and the marks that people "
        "set. Marks go to the log, and are confirmed when they are durable there. Any number of servers may run over "
        "one log.",
        epilog=_SERVE,
    )
    add = serve.add_argument
    add("site", metavar="SITE", nargs="?", help="a folder with a log, as `demo` and the services write it")
    add("--log", metavar="URL", help="the log, where it is not in SITE: segments:DIR or kafka://host:9092")
    add("--archive", metavar="DIR", help="the log's archive, where it is not in SITE")
    add("-c", "--config", metavar="FILE", help="dataset.toml: its classes are the palette")
    add("--listen", default="127.0.0.1:8765", metavar="HOST:PORT", help="where browsers find it (%(default)s)")
    add("--people", metavar="DIR", help="the folder of accounts and sessions (SITE/people)")
    add("--as", dest="guest", metavar="NAME", help="the author of marks, where there are no accounts (your login)")
    add("--tls-cert", metavar="FILE", help="the server's certificate, with its chain")
    add("--tls-key", metavar="FILE", help="its key")
    add("--behind-proxy", action="store_true", help="a proxy in front of it speaks TLS")
    serve.set_defaults(run=run_serve)


def _user_command(does: Any, name: str, purpose: str, *, named: bool = True) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = does.add_parser(name, help=purpose, epilog=_USER)
    if named:
        parser.add_argument("user", metavar="NAME", help="the person's name, the author of their marks")
    parser.add_argument("--people", required=True, metavar="DIR", help="the folder of accounts: SITE/people")
    return parser


def run_serve(args: argparse.Namespace) -> int:
    """`sensorloom label serve`."""
    import asyncio
    import getpass

    from ingest.errors import UsageError
    from timeline.people.accounts import check_name
    from timeline.server.serving import Serving, check_tls, serve

    if (args.tls_cert is None) != (args.tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together: give both")
    settings = _settings(args)
    host, port = _address(args.listen)
    people = Path(args.people) if args.people else Path(args.site) / "people" if args.site else None
    tls = None if args.tls_cert is None else check_tls(Path(args.tls_cert), Path(args.tls_key))
    if args.guest is not None:
        check_name(args.guest)
    guest = args.guest or getpass.getuser()
    asyncio.run(serve(Serving(settings, host, port, people, guest, tls, args.behind_proxy)))
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    """What is served: of a site's folder, or what the options name. Raises `UsageError`."""
    from ingest.errors import UsageError
    from ingest.opening import check_begun
    from service.site import find_site
    from timeline.marks.palette import palette_of
    from timeline.site import Settings

    site = find_site(args.site) if args.site else None
    log = args.log
    if log is None:
        if site is None:
            raise UsageError("name a SITE, or a log: --log URL")
        if len(site.logs) != 1:
            found = ", ".join(map(str, site.logs)) or "none"
            raise UsageError(f"{args.site}: found {len(site.logs)} logs of segments ({found}); name one: --log URL")
        log = f"segments:{site.logs[0]}"
    check_begun(log)
    archive = Path(args.archive) if args.archive else None
    if archive is None and site is not None and len(site.archives) == 1 and args.log is None:
        archive = site.archives[0]
    if archive is None and site is not None and site.archives:
        found = ", ".join(map(str, site.archives))
        say_aside(f"sensorloom: not shown: {found}; --archive DIR names the one of {log}")
    files = [Path(args.config)] if args.config else site.configurations if site else []
    classes, offered = palette_of(files, strict=bool(args.config))
    name = site.root.resolve().name if site else log.partition("?")[0]
    return Settings(name, log, archive, classes, offered)


def _address(text: str) -> tuple[str, int]:
    from ingest.errors import UsageError

    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f'--listen: found "{text}"; use HOST:PORT, as in 127.0.0.1:8765')
    return host, int(port)


def _people(args: argparse.Namespace) -> People:
    from timeline.people.accounts import People

    return People(Path(args.people))


def run_add(args: argparse.Namespace) -> int:
    """`sensorloom label user add`."""
    _people(args).add(args.user, args.role, None if args.no_password else _password(args.user))
    print(f"{args.user} is {'an' if args.role[0] == 'a' else 'a'} {args.role}")
    return 0


def _password(user: str) -> str:
    """Typed twice at a terminal, or one line of stdin."""
    import getpass

    from ingest.errors import UsageError

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass(f"password of {user}: ")
    if getpass.getpass("once more: ") != password:
        raise UsageError("the two passwords are not the same; nothing was changed")
    return password


def run_remove(args: argparse.Namespace) -> int:
    """`sensorloom label user remove`."""
    _people(args).remove(args.user)
    print(f"{args.user} is removed; their marks stay")
    return 0


def run_token(args: argparse.Namespace) -> int:
    """`sensorloom label user token`."""
    import time

    print(_people(args).make_token(args.user, args.name, time.time_ns()))
    return 0


def run_list(args: argparse.Namespace) -> int:
    """`sensorloom label user list`."""
    from ingest.commands import print_table, to_json

    accounts = _people(args).accounts().values()
    names = {it.user: [token.name for token in it.tokens] for it in accounts}
    rows: list[dict[str, Any]] = [{"user": it.user, "role": it.role, "password": bool(it.password)} for it in accounts]
    if args.json:
        print(to_json({"people": [row | {"tokens": names[row["user"]]} for row in rows]}))
        return 0
    print_table([row | {"tokens": ", ".join(names[row["user"]])} for row in rows])
    print(f"{len(rows):,} people", file=sys.stderr)
    return 0
