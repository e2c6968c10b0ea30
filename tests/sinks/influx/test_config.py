from __future__ import annotations

from pathlib import Path

import pytest

from ingest.errors import UsageError
from ingest.log.protocol import MARKS, READINGS
from sinks.influx.config import PASSWORD_ENV, TOKEN_ENV, SinkConfig, read_config

WHOLE = """log = "segments:log"
out = "state"

[influx]
url = "https://db.example:8086"
database = "sensors"
retention_policy = "month"
user = "sensorloom"
password_file = "secret"
ca_file = "ca.pem"
timeout = "5s"
batch = 100
gzip = true

[write]
thin = "10s"
status = false
"""
OPTIONS = {"log": "segments:x", "out": "o", "url": "http://127.0.0.1:8086", "database": "d"}


def read(tmp_path: Path, text: str, **options: str) -> SinkConfig:
    path = tmp_path / "sink.toml"
    path.write_text(text)
    return read_config(str(path), options)


def test_paths_in_a_file_begin_at_its_folder_and_options_go_before_it(tmp_path: Path) -> None:
    config = read(tmp_path, WHOLE)
    assert (config.log, config.out) == (f"segments:{tmp_path}/log", tmp_path / "state")
    assert (config.target.password_file, config.target.ca_file) == (str(tmp_path / "secret"), str(tmp_path / "ca.pem"))
    assert (config.thin_ns, config.topics) == (10 * 10**9, (READINGS, MARKS))
    assert (config.target.timeout_s, config.target.batch, config.target.gzip) == (5.0, 100, True)
    other = read(tmp_path, WHOLE, log="kafka://h:1", out="here", thin="full", database="other")
    assert (other.log, other.out, other.thin_ns, other.target.database) == ("kafka://h:1", Path("here"), 0, "other")


def test_a_target_is_known_by_its_name_wherever_it_is() -> None:
    names = {read_config(None, OPTIONS | more).target.name for more in ({}, {"url": "http://b"}, {"database": "e"})}
    assert names == {"v1/d/", "v1/e/"}


def test_secrets_come_from_files_or_the_environment(tmp_path: Path) -> None:
    target = read(tmp_path, WHOLE).target
    with pytest.raises(UsageError, match="No such file"):
        target.secret({})
    (tmp_path / "secret").write_text("s3cret\n")
    assert target.secret({PASSWORD_ENV: "no"}) == "s3cret"
    (tmp_path / "secret").write_text("two\nlines")
    with pytest.raises(UsageError, match="nothing else"):
        target.secret({})
    plain = read_config(None, OPTIONS).target
    assert (plain.secret({TOKEN_ENV: "t"}), plain.secret({})) == ("t", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('log = "segments:x"', "out: is missing"),
        ('lug = "x"', 'Did you mean "log"'),
        ("influx = 1", "expected a table"),
        ('[influx]\ndb = "x"', 'Did you mean "database"'),
        ('[influx]\npassword = "x"', 'Did you mean "password_file"'),
        ('[influx]\nurl = "http://u:p@h:1"', "has a user in it"),
        ('[influx]\nurl = "ftp://h"', "use http://host:port"),
        ('[influx]\nurl = "http://a..b"', "empty part"),
        ('[influx]\nurl = "http://h:x"', "url: "),
        ("[influx]\nurl = 3", "expected a text"),
        ("[influx]\nbatch = 0", "batch: 0 is not in 1..50000"),
        ('[influx]\ntimeout = "0s"', "above 0"),
        ('[influx]\ngzip = "yes"', "expected true or false"),
        ('[influx]\norg = "o"', "org: goes with a bucket"),
        ('[influx]\npassword_file = "p"', "whose"),
        ('[influx]\nuser = "u"\ntoken_file = "p"', "either a user"),
        ('[write]\nthin = "0s"', "use a span"),
        ('[write]\nthin = "fast"', "thin: "),
        ("[write]\nmarks = 1", "expected true or false"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    options = {} if "is missing" in said else {key: OPTIONS[key] for key in OPTIONS if f"\n{key} =" not in text}
    with pytest.raises(UsageError, match="sink.toml: ") as caught:
        read(tmp_path, text, **options)
    assert said in str(caught.value)


def test_a_database_or_a_bucket_is_named() -> None:
    with pytest.raises(UsageError, match="either a database"):
        read_config(None, {key: OPTIONS[key] for key in ("log", "out", "url")})
    with pytest.raises(UsageError, match="either a database"):
        read_config(None, OPTIONS | {"bucket": "b"})
