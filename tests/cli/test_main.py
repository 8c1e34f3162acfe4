from __future__ import annotations

import json
import os
import subprocess
import sys

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


def test_output_that_nobody_reads_to_its_end_is_neither_success_nor_a_verdict():
    reader, writer = os.pipe()
    os.close(reader)
    code = "import sys; from hauberk.cli.main import run; sys.exit(run(['controls', '--json']))"
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


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
    assert "is not a release" in json.loads(capsys.readouterr().out)["error"]["message"]


def _broken(monkeypatch, error):
    def fail(**_):
        raise error

    monkeypatch.setattr(main.cli, "main", fail)


def test_what_nobody_foresaw_is_one_line_with_where_to_report_it(monkeypatch, capsys):
    _broken(monkeypatch, KeyError("a name\nand a second line"))
    assert run(["verify", "x"]) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert "KeyError at test_main.py:" in err
    assert "/issues" in err
    assert "HAUBERK_DEBUG=1" in err
    assert "Traceback" not in err
    assert run(["verify", "x", "--json"]) == 70
    assert json.loads(capsys.readouterr().out)["error"] | {"message": ""} == {
        "kind": "Fault",
        "message": "",
        "exit_code": 70,
    }


@pytest.mark.parametrize("debug", ["", "1"])
def test_neither_the_line_nor_the_traceback_tells_a_secret(monkeypatch, capsys, debug):
    monkeypatch.setenv("HAUBERK_DEBUG", debug)
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "correct horse")
    monkeypatch.setenv("MINE", "Bearer hunter2hunter2")
    cause = OSError("PUT https://ana:swordfish@vault/v1?x failed; pin-value=8421; Authorization: bearer abc.def")
    error = ValueError("cannot open with correct horse and Bearer hunter2hunter2")
    error.__cause__ = cause
    _broken(monkeypatch, error)
    assert run(["attack", "https://h/v2/models/m", "--header-env", "Authorization=MINE"]) == 70
    err = capsys.readouterr().err
    assert ("Traceback" in err) == bool(debug)
    assert ("https://***@vault" in err) == bool(debug)
    for secret in ("correct horse", "hunter2", "swordfish", "8421", "abc.def"):
        assert secret not in err


def test_an_error_while_watching_is_one_line_too(monkeypatch, capsys):
    _broken(monkeypatch, NotProven("tampered with"))
    assert run(["update", "--watch", "--json"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["error"]["kind"] == "NotProven"


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from hauberk.cli.main import run; run(['--help']); "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    heavy = {
        "numpy",
        "torch",
        "polars",
        "sklearn",
        "pydantic",
        "jinja2",
        "rich",
        "cryptography",
        "pyarrow",
        "onnx",
        "asyncio",
    }
    assert not heavy & set(done.stderr.split())
    assert "click" in done.stderr.split()


@pytest.mark.parametrize(("policy", "spins"), [(None, "1000"), ("ACTIVE", None)])
def test_the_command_prepares_torch_and_keeps_what_the_user_has_set(monkeypatch, policy, spins):
    monkeypatch.setattr(main, "run", lambda _: 0)
    for name, value in (("OMP_WAIT_POLICY", policy), ("GOMP_SPINCOUNT", None), ("CUBLAS_WORKSPACE_CONFIG", None)):
        monkeypatch.setenv(name, "")  # so that what the command sets is taken back after the test
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main.main()
    assert main.os.environ.get("OMP_WAIT_POLICY") == policy
    assert main.os.environ.get("GOMP_SPINCOUNT") == spins
    assert main.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
