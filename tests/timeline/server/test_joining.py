"""Modules joined to one script do what they did as modules, or are refused with words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from ingest.errors import UsageError
from tests.timeline.page.test_modules import STATIC, node
from timeline.server.joining import joined

MODULES: Final = {path.name: path.read_text() for path in sorted((STATIC / "js").glob("*.js"))}
TRICKY: Final = {
    "app.js": """// @ts-check
/** import { nothing } from "./nowhere.js"; */
import { Base, later, odd } from "./low.js";
import { words } from "./words.js";

console.log("app", words(3), odd(3), new Base().name, await_);
const own = words; // another module has an `own`, too
console.log(own.name, later.name, typeof this, (() => { try { undeclared = 1; } catch (e) { return e.name; } })());
later().then((value) => console.log(value, "export default `", 'import("x")'));
/* A comment of several lines:
import { nothing } from "./nowhere.js";
export default 1; */
console.log(1 / 2, /[/"'`{]export let x = import\\("y"\\)/.source, 4 / 2 / 1);
function await_() {}
throwing();
function throwing() {
    try { throw new Error("here"); } catch (error) { console.log(/:(\\d+):\\d+/.exec(error.stack)[1]); }
}
""",
    "words.js": """import { Base, odd } from "./low.js";
const own = `first ${odd(1) ? `import ${"}"} \\` \\${` : "{"}
export let changing = 1;
import { nothing } from "./nowhere.js";
// no comment
   ${ /* one */ odd(2) } await`;
export const words = (times) => own.repeat(times > 2 ? 1 : 2);
export function unused() {
    return import_;
}
const import_ = "https://example.org/ // no comment";
console.log("words", Base.name, unused());
""",
    "low.js": """export class Base {
    get name() { return "base"; }
}
export async function later() {
    const own = await Promise.resolve("it's later");
    return own;
}
export const odd = (number) => number % 2 === 1;
console.log("low");
// no end of line""",
}


def test_what_is_joined_does_what_its_modules_do(tmp_path: Path) -> None:
    for name, text in TRICKY.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "package.json").write_text('{ "type": "module" }')
    (tmp_path / "one.js").write_text(joined(TRICKY, "app.js"))
    apart, together = node(tmp_path / "app.js"), node(tmp_path / "one.js")
    assert (apart.stderr, together.stderr) == ("", "")
    said, known = together.stdout.splitlines(), apart.stdout.splitlines()
    assert said[:2] == ["low", "words Base https://example.org/ // no comment"]
    begin = joined(TRICKY, "app.js").splitlines().index("const app$js = (() => { // app.js") + 1
    lines = [(int(one), int(other)) for one, other in zip(said, known, strict=True) if one != other]
    assert (
        [one - begin for one, _ in lines] == [other for _, other in lines] == [17]
    )  # only the error's line is another


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("export default 1;", "a.js:1: export default 1;: only these forms"),
        ("\nexport let a = 1;", "a.js:2: export let a = 1;: only these forms"),
        ("export { a };", "a.js:1: "),
        ("export const { a } = b;", "a.js:1: "),
        ("export function* a() {}", "a.js:1: "),
        ('export * from "./b.js";', "a.js:1: "),
        ('import * as b from "./b.js";', "a.js:1: "),
        ('import b from "./b.js";', "a.js:1: "),
        ('import { b as c } from "./b.js";', "a.js:1: "),
        ('import { b }\n    from "./b.js";', "a.js:1: "),
        ('import "./b.js";', "a.js:1: "),
        ('import { b } from "../b.js";', "a.js:1: "),
        ('const b = () => import("./b.js");', "a.js:1: "),
        ("const here = import.meta.url;", "a.js:1: "),
        ("if (true) { export const a = 1; }", "a.js:1: "),
        ("const b = `${await c}`;", "a.js:1: const b = `${await c}`;: await stands within"),
        ("/* a\n*/ await b();", "a.js:2: */ await b();: await stands within"),
        ('import { c } from "./c.js";', "a.js:1: imports c.js, and there is no such module"),
        ('\nimport { c } from "./b.js";', "a.js:2: imports b.js, which exports no c"),
        ('import { d } from "./d.js";', "d.js:1: imports a.js, which imports it in turn: a.js -> d.js -> a.js"),
        ("const a = 1;\nconst b = `one ${a`;\n", "a.js:2: what is open here, `, has no end"),
        ("const a = 'it;\n", "a.js:1: what is open here, ', has no end"),
        ("const a = 1; /* it", "a.js:1: what is open here, /*, has no end"),
        ("const a = () => {\n", "a.js:1: what is open here, {, has no end"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(text: str, words: str) -> None:
    modules = {
        "a.js": text,
        "b.js": "export const b = 1;\n",
        "d.js": 'import { a } from "./a.js";\nexport const d = a;',
    }
    with pytest.raises(UsageError, match=f"^{re.escape(words)}"):
        joined(modules, "a.js")


def test_the_pages_modules_are_in_its_script_each_once_and_each_line_at_its_place(tmp_path: Path) -> None:
    entries = re.findall(r'src="/static/js/(.+?)"', (STATIC / "index.html").read_text())
    assert entries == ["app.js"]
    script = joined(MODULES, "app.js")
    assert script == joined(dict(reversed(MODULES.items())), "app.js")
    heads = re.findall(r"^const \w+\$js = \(\(\) => \{ // (\w+\.js)$", script, re.MULTILINE)
    assert sorted(heads) == sorted(MODULES)
    lines = script.split("\n")
    for name, text in MODULES.items():
        head = lines.index(f"const {name.replace('.', '$')} = (() => {{ // {name}")
        for number, line in enumerate(text.split("\n"), 1):
            assert lines[head + number] in ("", line, line.removeprefix("export ")) or line.startswith("import ")
    (tmp_path / "app.mjs").write_text(script)
    checked = node("--check", tmp_path / "app.mjs")
    assert checked.returncode == 0, checked.stderr
