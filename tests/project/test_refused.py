"""The project file: each mistake is told with its line and its fix."""

from __future__ import annotations

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.project import load

from .texts import IMAGES, TABLE, complaints, edit, line_of, read


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "digits"', 'name = "My Digits"', "such as 'my-digits'"),
        ('name = "digits"', "", "[project] name: is missing"),
        ('name = "digits"', 'name = "digits"\nseed = -1', "between 0 and"),
        ('name = "digits"', 'name = "digits"\nseed = true', "expected a whole number, found true"),
        ('kind = "image"', 'kind = "images"', "did you mean 'image'?"),
        ('["sklearn:digits"]', '["nowhere.npz"]', "there is no file"),
        ('["sklearn:digits"]', "[]", "[data] files: is missing"),
        ('["sklearn:digits"]', '"sklearn:digits"', 'expected a list, found "sklearn:digits"'),
        ('["sklearn:digits"]', '["sklearn:digits"]\ntest_share = 1.5', "between 0.01 and 0.9"),
        ('["sklearn:digits"]', '["sklearn:digits"]\nlabels = ["a", "a"]', "a class name occurs twice"),
        ('["sklearn:digits"]', '["sklearn:digits"]\ntraget = "y"', "did you mean 'target'?"),
        ('build = "model:build"', 'build = "model.build"', 'is not "module:function"'),
        ('build = "model:build"', 'build = "modle:build"', "there is no module 'modle'"),
        ('build = "model:build"', "", "[model] comes in one of these ways, and it names none of them"),
        ('build = "model:build"', 'weights = "model.safetensors"', "one of these ways"),
        ('build = "model:build"', 'build = "model:build"\nonnx = "m.onnx"', "it has build and onnx"),
        ('build = "model:build"', 'build = "model:build"\nweights = "model.pt"', "can run code when they are read"),
        ('build = "model:build"', 'build = "model:build"\nweights = "m.safetensors"', "there is no file"),
        ('kind = "evasion"', 'kind = "evade"', "Known: evasion, poisoning"),
        ('kind = "evasion"', "", "kind: is missing"),
        ('norm = "linf"', 'norm = "l3"', "Known: linf, l2, l1"),
        ('norm = "linf"\n', "", "a radius needs its norm"),
        ('eps = "4/255"', "", "eps: is missing"),
        ('eps = "4/255"', "eps = 8", "8/255"),
        ('eps = "4/255"', "eps = nan", "finite"),
        ('eps = "4/255"', "eps = 0", "above 0"),
        ('eps = "4/255"', "eps = -0.1", "above 0"),
        ('eps = "4/255"', 'eps = "4/0"', "is not a radius"),
        ('eps = "4/255"', 'eps = "four"', "is not a radius"),
        ('eps = "4/255"', 'eps = "4/255"\ncost = 2', "declare two threats"),
        ('eps = "4/255"', 'eps = "4/255"\nepsilon = 2', "did you mean 'eps'?"),
        ('">= 0.60"', "0.60", 'expected a rule such as ">= 0.60", found 0.6'),
        ('">= 0.60"', '"=> 0.60"', "robust_accuracy"),
        ('robust_accuracy = ">= 0.60"', "", "[gate] has no rule"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\nlr = 1', "did you mean 'learning_rate'?"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\nepoch = 1', "did you mean 'epochs'?"),
        (
            'robust_accuracy = ">= 0.60"',
            'x = ">= 1"\n[training]\nepochs = 2.5',
            "expected a whole number, found 2.5",
        ),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\nlearning_rate = inf', "finite"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\noptimizer = "adam"', "did you mean 'adamw'?"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\nminutes = 0', "0 trains nothing"),
        (
            'robust_accuracy = ">= 0.60"',
            'x = ">= 1"\n[training]\nminutes = 5\nepochs = 3',
            "from which the epochs follow",
        ),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\naverage = 1', "between 0 and"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\nprecision = "bf61"', "did you mean 'bf16'?"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[evaluation]\ncertify = "bound"', "did you mean 'bounds'?"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[evaluation]\nrows = 0', "1 or more"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[release]\nseal = "yes"', 'true or false, found "yes"'),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[keys]\nsigning = "rsa"', "Known: ed25519, ecdsa-p256"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[keys]\nuri = "a/b"', "has no scheme"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[gates]\ny = 1', "has no key 'gates'; did you mean 'gate'?"),
    ],
)
def test_a_mistake_is_told_with_the_line_it_stands_on(folder, old, new, message):
    text = edit(IMAGES, old, new)
    found = complaints(folder, text)
    assert message in "\n".join(words for _, words in found)
    at = text.index(new) if new else IMAGES.index(old)
    header = text.count("\n", 0, text.rindex("\n[", 0, at) + 1 if "\n[" in text[:at] else 0) + 1
    last = text.count("\n", 0, at + len(new)) + 1
    assert all(header <= line <= last for line, _ in found), found


def test_a_wrong_key_is_named_on_exactly_its_line(folder):
    text = IMAGES + '[training]\nmethod = "pgd"\nepoch = 12\n'
    known = (
        "augment, average, awp, batch, device, epochs, hardening, learning_rate, method, minutes, optimizer, "
        "patience, precision, weight_decay"
    )
    words = f"[training] has no key 'epoch'; did you mean 'epochs'? Known: {known}."
    assert complaints(folder, text) == [(line_of(text, "epoch ="), words)]


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order(folder):
    text = edit(edit(edit(IMAGES, '"digits"', '"Digits!"'), "4/255", "x"), ">= 0.60", "many")
    lines = [line for line, _ in complaints(folder, text)]
    assert lines == [line_of(text, "Digits!"), line_of(text, "eps"), line_of(text, "many")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cost = 3", "cost = -3", "0 or more"),
        ("by = 500", "by = 0", "0 allows no change"),
        ("by = 500", "by = -1", "0 or more"),
        ('direction = "down"', 'direction = "downwards"', "did you mean 'down'?"),
        ('column = "purpose"', 'column = "amount"', "declared twice"),
        ('  column = "purpose"\n', "", "column: is missing"),
        ('target = "risk"\n', "", "target: is missing"),
        ('group = "client"', 'group = "risk"', "is the target already"),
        ('drop = ["id"]', 'drop = ["risk"]', "it cannot be dropped"),
        ('drop = ["id"]', "drop = [1]", "expected strings, found 1"),
    ],
)
def test_a_mistake_in_a_table_project_is_told(folder, old, new, message):
    assert message in "\n".join(words for _, words in complaints(folder, edit(TABLE, old, new)))


def test_a_relation_that_is_none_is_told_on_its_line(folder):
    text = edit(TABLE, "cost = 3", 'cost = 3\nrelations = [\n  "amount <= months",\n  "amount < 3",\n]')
    assert complaints(folder, text) == [(line_of(text, "amount < 3"), complaints(folder, text)[0][1])]
    assert "write <= or >=" in complaints(folder, text)[0][1]


def test_a_total_cost_that_limits_nothing_is_refused(folder):
    text = edit(edit(TABLE, "  cost = 0.002\n", ""), "  cost = 1\n", "")
    assert complaints(folder, text) == [
        (
            line_of(text, "cost = 3"),
            "[[threats]] cost: 3 limits nothing, since no column has a cost: give columns a `cost`.",
        )
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb == 2\n", 2), ("a = 1\na = 2\n", 2), ('a = "never closed\n', 1), ("a = [1,\n", 2), ("a = \n", 1)],
)
def test_a_syntax_error_keeps_its_line(folder, text, line):
    ((found, message),) = complaints(folder, text)
    assert found == line
    assert "not valid TOML" in message


def test_bytes_that_are_no_text_are_refused_with_their_line(folder):
    (folder / "hauberk.toml").write_bytes(b'[project]\nname = "\xff"\n')
    with pytest.raises(InvalidInput, match=r"hauberk.toml:2: not UTF-8"):
        load(folder)


def test_a_file_that_is_not_there_points_to_init(tmp_path):
    with pytest.raises(InvalidInput, match="hauberk init"):
        load(tmp_path)


def test_a_huge_file_is_refused_unread(tmp_path):
    with (tmp_path / "hauberk.toml").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(InvalidInput, match="larger than 1 MiB"):
        load(tmp_path)


def test_deep_nesting_is_refused_not_crashed_on(folder):
    with pytest.raises(InvalidInput, match="nested too deeply"):
        read(folder, "a = " + "[" * 5000 + "]" * 5000)


def test_the_column_that_says_who_sent_a_row_is_no_other_column(folder):
    same = TABLE.replace('target = "risk"', 'target = "risk"\nsource = "risk"', 1)
    with pytest.raises(InvalidInput, match="says who sent a row"):
        read(folder, same)


def test_minutes_for_a_model_that_is_not_trained_here_are_refused(folder):
    text = edit(IMAGES, 'build = "model:build"', 'train = "model:train"') + "[training]\nminutes = 5\n"
    ((line, words),) = complaints(folder, text)
    assert line == line_of(text, "minutes")
    assert "the team's own function" in words
    text = edit(IMAGES, 'kind = "evasion"\nnorm = "linf"\neps = "4/255"', 'kind = "poisoning"\nshare = 0.1')
    ((_, words),) = complaints(folder, text + "[training]\nminutes = 5\n")
    assert "no evasion threat is declared" in words


@pytest.mark.parametrize(("text", "key"), [(TABLE, "labels"), (IMAGES, "drop"), (IMAGES, "target")])
def test_a_setting_for_other_data_is_refused(folder, text, key):
    value = '"y"' if key == "target" else '["a", "b"]'
    text = text.replace("\nfiles =", f"\n{key} = {value}\nfiles =")
    assert [line for line, _ in complaints(folder, text)] == [line_of(text, f"{key} = {value}")]
