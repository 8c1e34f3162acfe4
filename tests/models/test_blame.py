from __future__ import annotations

import pytest

from hauberk.models import _blame


def test_the_innermost_line_of_the_users_own_code_is_named(tmp_path):
    """The error is raised inside a library that the user's file calls."""
    file = tmp_path / "model.py"
    file.write_text("import json\n\ndef build():\n    return json.loads('{')\n")
    names = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    with pytest.raises(ValueError, match="Expecting") as raised:
        names["build"]()
    here = _blame.place(raised.value)
    assert here == f"{file}:4"


def test_a_syntax_error_names_its_own_line(tmp_path):
    with pytest.raises(SyntaxError) as raised:
        compile("x = 1\ny = (\n", str(tmp_path / "model.py"), "exec")
    assert _blame.place(raised.value).startswith(f"{tmp_path / 'model.py'}:2")


def test_without_a_line_of_the_user_the_other_name_is_used():
    assert _blame.place(ValueError("x"), otherwise="the model") == "the model"


def test_a_message_is_one_line_and_has_a_limit():
    assert _blame.told(ValueError("one\n  two")) == "ValueError: one two"
    assert _blame.told(ValueError()) == "ValueError"
    assert len(_blame.told(ValueError("x" * 1000))) == len("ValueError: ") + 300
