"""Where each key of a TOML file stands: what the parser does not tell."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from hauberk.project.lines import lines_of


def paths(value, prefix=()):
    """Every path of a parsed value, by the plain recursion."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*prefix, key)
        yield from paths(inner, (*prefix, key))


TRICKY = '''# "[not] = a table"
a = """
[b]
c = 1 # """
"d.e" = 'x # y' # [f]
f.g = [1, [2, # ]
  3], {h = "}", i = [4]}]
[j."k l"]
m = 1979-05-27T07:32:00Z
n = "\\\\" # "
[[o]]
p = {}
[[o]]
q = []
[[o.r]]
s = \'\'\'
t = 1\'\'\'\'
[o.r.u]
v = true
'''


def test_every_path_of_a_tricky_file_has_the_line_it_stands_on():
    found = lines_of(TRICKY)
    assert set(paths(tomllib.loads(TRICKY))) - set(found) == {("j",)}  # named only on the way to another
    for path, needle in [
        (("d.e",), "d.e"), (("f", "g", 2, "i"), "3]"), (("j", "k l", "n"), "n ="), (("o", 1), "[[o]]"),
        (("o", 0, "p"), "p ="), (("o", 1, "q"), "q ="), (("o", 1, "r", 0, "u", "v"), "v ="),
    ]:  # fmt: skip
        assert needle in TRICKY.split("\n")[found[path] - 1], path


KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\x7f", exclude_categories=("Cs", "Cc")), max_size=5)
SCALARS = st.one_of(st.integers(-9, 9), st.booleans(), st.text(st.sampled_from("a\"'\\#]}[{,=\n"), max_size=6))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


def written(value) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'"{escaped}"'
        case list():
            return "[ # ]\n" + "".join(f"  {written(each)},\n" for each in value) + "]"
        case _:
            return "{" + ", ".join(f"{written(key)} = {written(each)}" for key, each in value.items()) + "}"


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_the_walk_knows_every_path_that_the_parser_knows(document):
    text = "".join(f"# note\n{written(key)} = {written(value)}\n" for key, value in document.items())
    parsed = tomllib.loads(text)
    assert parsed == document
    found = lines_of(text)
    assert set(found) == set(paths(parsed))
    lines = text.split("\n")
    for key in document:
        assert lines[found[key,] - 1].startswith(f"{written(key)} = ")
