"""The rules of every page, shown with a package of our own."""

from __future__ import annotations

import sys

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from hauberk.core import pages


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "pages_of_a_test" / "templates").mkdir(parents=True)
    (tmp_path / "pages_of_a_test" / "__init__.py").write_text("")
    (tmp_path / "pages_of_a_test" / "templates" / "x.html.j2").write_text("<p>{{ text }}|{{ text|one_line }}</p>")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "pages_of_a_test"
    sys.modules.pop("pages_of_a_test", None)


def test_text_is_escaped_and_hidden_characters_are_written_out(package):
    text = pages.lay_out(package, "x.html.j2", {"text": '<b "\u202e\n&'})
    assert text == "<p>&lt;b &#34;\\u202e\n&amp;|&lt;b &#34;\\u202e\\u000a&amp;</p>"


def test_markup_of_our_own_passes(package):
    assert pages.lay_out(package, "x.html.j2", {"text": Markup("<b>")}).startswith("<p><b>|")


def test_a_name_that_the_view_lacks_is_an_error(package):
    with pytest.raises(UndefinedError):
        pages.lay_out(package, "x.html.j2", {})
