from __future__ import annotations

import unicodedata
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from hauberk.core.text import one_line, visible, without_secrets


def test_what_steers_a_terminal_or_hides_is_written_out():
    assert visible("safe\u202etxt.exe\x00\x1b[2J\r") == "safe\\u202etxt.exe\\u0000\\u001b[2J\\u000d"
    assert visible("two\nlines\tof déjà 数") == "two\nlines\tof déjà 数"


@given(st.text())
def test_nothing_hidden_is_left_in_any_text(text):
    assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") for c in visible(text))


def test_a_name_cannot_forge_a_line_of_a_list():
    assert one_line("a\nb\r\tc\u2028d\x1b") == "a\\u000ab\\u000d\\u0009c\\u2028d\\u001b"
    assert one_line("déjà 数 [red]") == "déjà 数 [red]"


@given(st.text())
def test_one_line_is_printable_and_read_the_same_by_the_console(text):
    line = one_line(text)
    assert line.isprintable()
    assert len(line.splitlines()) <= 1
    assert visible(line) == line


def test_secrets_are_hidden_as_messages_quote_them_too():
    environ = {"SIGNING_KEY": "-----BEGIN-----\nMIIEabc/def+gh==\n-----END-----\n", "DB_PASSWORD": "a/b c\\d"}
    for name, value in environ.items():
        for shown in (
            value,
            str(KeyError(value)),
            f"https://host/?q={quote(value, safe='')}",
            value.split("\n")[1:2],
        ):
            told = without_secrets(f"failed: {shown}", environ)
            assert "MIIE" not in told, name
            assert "a/b" not in told, name
            assert "a%2Fb" not in told, name
