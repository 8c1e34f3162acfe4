"""The small sections: what each becomes."""

from __future__ import annotations

import pytest

from hauberk.project.settings import slug

from .texts import IMAGES, complaints, line_of, read


@pytest.mark.parametrize(
    ("text", "name"), [("My Digits!", "my-digits"), ("--", "project"), ("é", "project"), ("a" * 99, "a" * 63)]
)
def test_a_slug_is_a_valid_project_name(text, name):
    assert slug(text) == name


def test_aws_signs_with_ecdsa_unless_told_otherwise(folder):
    assert read(folder, IMAGES + '[keys]\nuri = "awskms://x"\n').keys.signing == "ecdsa-p256"
    assert read(folder, IMAGES + '[keys]\nuri = "awskms://x"\nsigning = "ed25519"\n').keys.signing == "ed25519"
    assert read(folder, IMAGES + '[keys]\nuri = "keyring:/k"\n').keys.uri == "keyring:/k"


def test_update_is_read_with_its_defaults(folder):
    (folder / "schema.toml").write_text("version = 1\n")
    text = (
        IMAGES
        + '[update]\ndata = ["incoming/*.csv"]\nschedule = "0 3 * * *"\nschema = "schema.toml"\ngroups = ["g"]\n'
    )
    update = read(folder, text).update
    assert (update.start, update.confidence, update.new_rows, update.drift) == ("warm", 0.95, None, False)
    assert (update.data, update.groups, update.schema) == (("incoming/*.csv",), ("g",), folder / "schema.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("drift = true", "has no effect without `data`"),
        ('schedule = "0 3 * *"', "Write five fields"),
        ("confidence = 0.4", "between 0.5 and 0.9999, found 0.4. It is a probability."),
        ('schema = "absent.toml"', "there is no file"),
        ('start = "lukewarm"', "Known: warm, cold"),
    ],
)
def test_a_mistake_in_update_is_told(folder, line, message):
    text = f"{IMAGES}[update]\n{line}\n"
    ((found, words), *_) = complaints(folder, text)
    assert found == line_of(text, line)
    assert message in words


def test_an_attack_may_be_listed_once(folder):
    text = IMAGES + '[evaluation]\nattacks = [\n  {name = "pgd"},\n  {name = "pgd"},\n]\n'
    ((_, words),) = complaints(folder, text)
    assert words == "[evaluation] attacks: 'pgd' is listed twice."


@pytest.mark.parametrize("section", ["checks", "gate", "release", "training"])
def test_a_section_that_is_no_table_is_told(folder, section):
    text = f"{section} = 3\n" + IMAGES.replace(
        '[gate]\nrobust_accuracy = ">= 0.60"\n', "" if section == "gate" else '[gate]\nx = ">= 0"\n'
    )
    ((line, words),) = complaints(folder, text)
    assert (line, words) == (1, f"the file {section}: expected a table, found 3.")
