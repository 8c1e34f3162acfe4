from __future__ import annotations

import json

import pytest

from hauberk.cli import main
from hauberk.cli.main import _COMMANDS, cli, run
from hauberk.core.errors import InvalidInput, MissingExtra, NotProven, Refused, Unavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotProven("no"), 1),
        (InvalidInput("bad"), 2),
        (Refused("gate"), 3),
        (Unavailable("full"), 4),
        (MissingExtra("torch", "torch"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_each_error_has_its_exit_code_and_message(monkeypatch, capsys, error, code, as_json):
    def fail(**_):
        raise error

    monkeypatch.setattr(main.cli, "main", fail)
    assert run(["verify", "x", *(["--json"] if as_json else [])]) == code
    out, err = capsys.readouterr()
    assert "error: " in err
    if as_json:
        document = json.loads(out)
        assert document["ok"] is False
        assert document["error"]["exit_code"] == code
    else:
        assert out == ""


@pytest.mark.parametrize("arguments", [["nosuch"], ["verify"], ["verify", "x", "--nosuch"]])
def test_bad_usage_is_two(arguments, capsys):
    assert run(arguments) == 2
    assert run([*arguments, "--json"]) == 2
    json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_every_command_explains_itself_and_has_json(name):
    assert run([name, "--help"]) == 0
    command = cli.get_command(None, name)
    leaves = command.commands.values() if hasattr(command, "commands") else [command]
    for leaf in leaves:
        assert leaf.help
        assert any("--json" in parameter.opts for parameter in leaf.params), f"{name} {leaf.name}"


def test_the_line_in_the_help_is_there_for_every_command(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, (_, _, line) in _COMMANDS.items():
        assert name in shown
        assert line.split()[0] in shown


def test_verify_of_no_folder_is_bad_input(tmp_path, capsys):
    assert run(["verify", str(tmp_path / "absent"), "--json"]) == 2
    assert "no release" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_controls_lists_every_registered_member(capsys):
    from hauberk.lifecycle.families import FAMILIES

    assert run(["controls", "--json"]) == 0
    listed = {(row["family"], row["name"]) for row in json.loads(capsys.readouterr().out)["controls"]}
    assert listed == {(registry.family, entry.name) for registry in FAMILIES for entry in registry}
    assert ("attack", "pgd") in listed
