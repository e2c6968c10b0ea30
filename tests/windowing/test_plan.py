"""What people want and say of a dataset: strict, and nothing that changes a window."""

from __future__ import annotations

import pytest

from ingest.errors import UsageError
from tests.windowing.test_config import SAMPLE, parse
from windowing.plan import About, ClassPlan, missing_consent

TABLES = """
[plan]
purpose = "Tell running pumps from stopped ones"
sources = ["three pumps in hall 2"]
groups = { device = 3 }

[plan.classes.run]
definition = "the impeller turns"
windows = 500
per = { device = 100 }

[plan.attributes.site]
north = 200

[privacy]
personal = true
consent = "form 3"
retention = "24h"
access = ["the pump group"]

[about]
license = "CC-BY-4.0"
creators = ["Hall 2"]
"""


def test_it_is_read_and_changes_no_window() -> None:
    config, plain = parse(SAMPLE + TABLES), parse(SAMPLE)
    assert config.window.id == plain.window.id
    assert config.plan.classes == {"run": ClassPlan("the impeller turns", 500, {"device": 100})}
    assert (config.plan.groups, config.plan.attributes) == ({"device": 3}, {"site": {"north": 200}})
    assert config.about == About(license="CC-BY-4.0", creators=("Hall 2",))
    assert missing_consent(config.plan, config.privacy) == ()
    assert missing_consent(plain.plan, plain.privacy) == ()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("[plan]\npurpos = 'x'", 'plan: unknown key "purpos"; known: '),
        ("[plan.classes.run]\nwindow = 5", 'plan.classes.run: unknown key "window"'),
        ("[plan.classes.run]\nwindows = 0", "plan.classes.run.windows: found 0"),
        ("[plan.classes]\nrun = 5", "plan.classes.run: found 5; it is a table"),
        ("[plan]\nsources = 'x'", "plan.sources: found 'x', expected a list"),
        ("[privacy]\npersonal = 1", "privacy.personal: found 1"),
        ("[privacy]\nretention = 'a year'", "privacy.retention: duration"),
        ("[about]\nlicence = 'MIT'", 'Did you mean "license"'),
        ("[about]\ncite = ''", "about.cite: found ''"),
    ],
)
def test_what_is_wrong_is_named(table: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(f"{SAMPLE}\n{table}\n")
    assert told in str(refused.value)
