"""Where a passphrase comes from, in which order, and what is refused."""

import unicodedata

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.custody.keys.passphrase import NEW_VARIABLE, new_passphrase, passphrase_from


def refuse(_text):
    raise AssertionError("nobody was to be asked")


def test_the_variable_comes_first_then_the_file_then_the_person(tmp_path):
    file = tmp_path / "passphrase"
    file.write_bytes(b"from the file\n")
    both = {"HAUBERK_PASSPHRASE": "from the variable", "HAUBERK_PASSPHRASE_FILE": str(file)}
    assert passphrase_from(both, refuse)() == b"from the variable"
    assert passphrase_from({"HAUBERK_PASSPHRASE_FILE": str(file)}, refuse)() == b"from the file"
    assert passphrase_from({}, lambda _text: "from the person")() == b"from the person"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"pass word", b"pass word"),
        (b"pass word\n", b"pass word"),
        (b"pass word\r\n", b"pass word"),
        (b"pass word\n\n", b"pass word\n"),
        (b" pass word ", b" pass word "),
        (b"\xff\xfe binary", b"\xff\xfe binary"),
    ],
)
def test_one_newline_at_the_end_of_a_file_and_nothing_else_is_cut(tmp_path, written, read):
    file = tmp_path / "passphrase"
    file.write_bytes(written)
    assert passphrase_from({"HAUBERK_PASSPHRASE_FILE": str(file)}, refuse)() == read


def test_the_same_passphrase_from_another_keyboard_is_the_same():
    composed, split = unicodedata.normalize("NFC", "résumé café"), unicodedata.normalize("NFD", "résumé café")
    assert composed != split
    found = {passphrase_from({"HAUBERK_PASSPHRASE": text}, refuse)() for text in (composed, split)}
    assert len(found) == 1


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"x" * 5000])
def test_an_empty_or_endless_passphrase_file_is_refused(tmp_path, content):
    file = tmp_path / "passphrase"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match="HAUBERK_PASSPHRASE_FILE"):
        passphrase_from({"HAUBERK_PASSPHRASE_FILE": str(file)}, refuse)()


def test_an_empty_variable_is_refused_and_not_passed_over():
    with pytest.raises(InvalidInput, match="HAUBERK_PASSPHRASE is empty"):
        passphrase_from({"HAUBERK_PASSPHRASE": ""}, lambda _text: "typed")()


def test_a_missing_file_names_the_file_and_the_variable(tmp_path):
    with pytest.raises(InvalidInput, match=r"absent.*HAUBERK_PASSPHRASE_FILE"):
        passphrase_from({"HAUBERK_PASSPHRASE_FILE": str(tmp_path / "absent")}, refuse)()


def test_with_nobody_to_ask_all_three_ways_are_named():
    with pytest.raises(InvalidInput, match=r"HAUBERK_PASSPHRASE,.*HAUBERK_PASSPHRASE_FILE.*terminal"):
        passphrase_from({}, None)()


def test_the_new_passphrase_has_its_own_variable():
    environ = {"HAUBERK_PASSPHRASE": "the old one", NEW_VARIABLE: "the new one"}
    assert passphrase_from(environ, refuse, variable=NEW_VARIABLE)() == b"the new one"


def test_a_new_passphrase_is_typed_twice():
    texts = []
    answers = iter(["long enough", "long enough"])
    source = passphrase_from({}, lambda text: texts.append(text) or next(answers))
    assert new_passphrase(source) == b"long enough"
    assert texts == ["Passphrase: ", "Passphrase, once more: "]


def test_two_different_or_short_new_passphrases_are_refused_without_being_shown():
    answers = iter(["s3cret one", "s3cret two"])
    with pytest.raises(InvalidInput) as caught:
        new_passphrase(lambda: next(answers).encode())
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InvalidInput, match="7 characters") as caught:
        new_passphrase(lambda: b"s3cret!")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InvalidInput, match="7 characters"):
        new_passphrase("ééééééé".encode)  # fourteen bytes, seven characters
