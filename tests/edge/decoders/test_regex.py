"""What cases beside the decoder do not say of regex: refused options, and that no line keeps it busy."""

from __future__ import annotations

import pytest

from edge.decoders.regex.decoder import RegexDecoder
from ingest.errors import UsageError
from tests.edge.configs import source_config
from tests.edge.decoders.splitting import reasons, run


def new(**options: object) -> RegexDecoder:
    return RegexDecoder.from_config(source_config("regex", ("x",), **options))  # type: ignore[arg-type]


def test_a_line_for_which_other_engines_take_years_is_a_fault() -> None:
    assert reasons(run(new(pattern=r"^(?P<x>(\d+)+)$"), [b"1" * 4000 + b"!\n"])) == ["pattern"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, '"pattern" is missing'),
        ({"pattern": "(?P<x>a"}, r"missing \)"),
        ({"pattern": r"(?P<x>a)(?=b)"}, "wiki/Syntax"),
        ({"pattern": r"(?P<y>a)"}, 'no group "x"'),
        ({"pattern": r"(?P<x>a)", "time_field": "t"}, 'no group "t"'),
        ({"pattern": r"(?P<x>a)", "groups": {"y": "x"}}, 'unknown channel "y"'),
        ({"pattern": r"(?P<x>a)", "ignore": [""]}, "expected texts"),
        ({"pattern": r"(?P<x>a)", "decimal": ";"}, 'found ";"'),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new(**options)
