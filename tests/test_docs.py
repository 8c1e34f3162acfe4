"""README and docs hold: links resolve, command lines run as printed, figures of the example agree, the picture is current."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest

import hauberk
from hauberk.cli.main import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "findings/*.md")
    for path in ROOT.glob(pattern)
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`(hauberk [^`]+)`(?!`)")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def anchors(page: str) -> set[str]:
    """The anchors that a page's headings get, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    for target in _LINK.findall(_BLOCK.sub("", text_of(page))):
        if target.startswith(("https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        place = (ROOT / page).parent / name if name else ROOT / page
        assert place.exists(), f"{page} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(place.resolve().relative_to(ROOT).as_posix()), f"{page}: no heading {target}"


def lines(page: str) -> list[str]:
    """Return every `hauberk ...` command line of a page, continuation lines joined and comments cut."""
    text = text_of(page)
    blocks = [block for _, block in _BLOCK.findall(text)]
    rest = _BLOCK.sub("", text)
    blocks += re.findall(r"(?:^(?: {4}|\t).*\n)+", rest, re.MULTILINE)  # indented blocks
    found = []
    for block in blocks:
        whole = [line.strip() for line in block.replace("\\\n", " ").splitlines()]
        commands = [line for line in whole if re.match(r"([A-Z_]+=\S+ )?hauberk ", line)]
        found += [re.split(r"\s{2,}", line)[0] for line in commands]
    return [" ".join(line.split()) for line in [*found, *_SPAN.findall(rest)]]


def spelled(line: str) -> list[list[str]]:
    """Return the command lines that a line stands for: `hauberk data infer / verify` stands for two."""
    words = shlex.split(re.sub(r"^[A-Z_]+=\S+ ", "", line.replace("[", " ").replace("]", " ")))[1:]
    if "/" not in words:
        return [words]
    last = words.index("/") - 1
    return [[*words[:last], word] for word in words[last:] if word != "/"]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        following = command.get_command(click.Context(command), words[0])
        assert following is not None, f"there is no command {' '.join(words)!r}"
        command, words = following, words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_in_the_docs_exists(page):
    for line in lines(page):
        for words in spelled(line) if page != "CHANGELOG.md" else ():  # which also names what is gone
            command, rest = command_of(words)
            options = {
                name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
            }
            for word in rest:
                if word.startswith("-") and len(word) > 1:
                    assert word.partition("=")[0] in options | {"--help"}, f"{page}: {line!r} has no option {word}"


def test_the_examples_budget_is_the_same_everywhere():
    toml = tomllib.loads(text_of("examples/digits/hauberk.toml"))
    eps = toml["threats"][0]["eps"]
    (row,) = [line for line in text_of("README.md").splitlines() if line.startswith("| [digits]")]
    assert f"± {eps}" in row
    assert f"to {eps} of its range" in text_of("examples/digits/README.md").replace("\n", " ")
    assert f"{eps:.0%}".replace("%", " %") in text_of("examples/digits/hauberk.toml")  # the comment above it


def test_the_picture_of_the_rooms_is_what_the_imports_give():
    made = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "architecture_picture.py"), "--check"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, f"run python docs/architecture_picture.py: {made.stderr}"


def test_every_room_is_on_the_page_about_the_rooms():
    rooms = [path.name for path in (ROOT / "src" / "hauberk").iterdir() if (path / "__init__.py").exists()]
    page = text_of("docs/architecture.md")
    assert not [room for room in rooms if f"| `{room}` |" not in page]
    for named in re.findall(r"`([\w/]+\.py)`", page):
        assert (ROOT / "src" / "hauberk" / named).exists() or (ROOT / named).exists(), f"there is no {named}"


# -- each command line with arguments runs, as printed, in a small project that has what it names -----------------------

# What a line's placeholders stand for in that project. The key id is known once the release is made.
PLACEHOLDERS = {
    "FILE": "claims.csv",
    "COLUMN": "fraud",
    "PAGE": "profile.html",
    "REFERENCE": "claims.csv",
    "BAD": "bad.csv",
    "GOOD": "good.csv",
    "FILES": "claims.csv",
    "N": "1",
    "TEXT": "tried",
}
# In this order: what an earlier line makes, a later one reads. Others run first.
ORDER = (
    "data prove --check",
    "keys create",
    "seal",
    "open",
    "rotate",
    "rewrap",
    "erase",
    "update",
    "update --trust",
    "rollback",
)
# Lines that run in the tests of the examples, whose data they need, and in those of `rewrap`, which have a KMS.
ELSEWHERE = ("examples/", "run-quarantine", "vehicle-claim-fraud.parquet", "awskms:")
INTERRUPTED = 130
DIFFERENT = 1  # what `data diff` exits with, as diff does
MODEL = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def build():
    return make_pipeline(StandardScaler(), LogisticRegression())
"""
PROJECT = """
[project]
name = "claims"
[data]
kind = "table"
files = ["claims.csv"]
target = "fraud"
poison = "report"
[model]
build = "model:build"
[[threats]]
kind = "evasion"
name = "fraudster"
columns = [{column = "mean_radius", by = 1.0}]
[update]
data = ["incoming/*.csv"]
[gate]
clean_accuracy = ">= 0.1"
"""
THREATS = """
[[threats]]
kind = "evasion"
name = "fraudster"
columns = [{column = "mean_radius", by = 1.0}]
"""


class World:
    """A folder that has what the docs' command lines name, and the `hauberk` that runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(Path(hauberk.__file__).parents[1]),
            "HAUBERK_PASSPHRASE": "correct horse",
            "HAUBERK_STATE": str(folder / "seen"),
        }
        self.key_id = ""

    def run(self, words: list[str], *, folder: Path | None = None, interrupt: bool = False) -> tuple[int, str]:
        command = [sys.executable, "-c", "from hauberk.cli.main import main; main()", *words]
        process = subprocess.Popen(
            command,
            cwd=folder or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            output = process.communicate(timeout=5 if interrupt else 240)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT if interrupt else signal.SIGKILL)
            output = process.communicate(timeout=60)[0]
        return process.returncode, output


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    import polars as pl
    from sklearn.datasets import load_breast_cancer, load_digits

    made = World(tmp_path_factory.mktemp("claims"))
    raw = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in raw.feature_names[:8]]
    table = pl.DataFrame(raw.data[:, :8], schema=names).with_columns(
        fraud=pl.Series(["yes" if label else "no" for label in raw.target])
    )
    folder = made.folder
    table[:400].write_csv(folder / "claims.csv")
    (folder / "claims").mkdir()
    table[:200].write_csv(folder / "claims" / "one.csv")
    table[200:400].write_csv(folder / "claims" / "two.csv")
    (folder / "incoming").mkdir()
    table[400:].write_csv(folder / "incoming" / "new.csv")
    table[400:].write_parquet(folder / "rows.parquet")
    numbered = table[:50].with_row_index("id")
    numbered.write_parquet(folder / "before.parquet")
    numbered[1:].write_parquet(folder / "after.parquet")
    table[400:480].write_parquet(folder / "claims-july.parquet")
    table.rename({"fraud": "income"}).write_parquet(folder / "adult.parquet")
    table.rename({"fraud": "FraudFound_P"}).write_parquet(folder / "claims.parquet")
    people = {"id": [1, 2], "ssn": ["078-05-1120", "219-09-9999"], "dob": ["1980-01-02", "1990-03-04"]}
    pl.DataFrame(people).write_parquet(folder / "people.parquet")
    digits = load_digits()
    np.savez(folder / "pictures.npz", x=np.uint8(digits.images[:, None] * 15), y=digits.target)
    (folder / "model.py").write_text(MODEL)
    (folder / "hauberk.toml").write_text(PROJECT)
    (folder / "threats.toml").write_text(THREATS)
    fresh = folder / "fresh"
    fresh.mkdir()
    table.write_csv(fresh / "data.csv")
    code, output = made.run(["protect", "--json"])
    assert code == 0, output
    made.key_id = json.loads(output)["key"]
    return made


def arguments(line: str, world: World, url: str) -> list[str]:
    """Return the words of a printed line with its placeholders filled in and its optional parts left in."""
    (words,) = spelled(line)
    words = [PLACEHOLDERS.get(word, word) for word in words]
    words = [world.key_id if word == "KEYID" else word for word in words]
    return [url if word.startswith("https://") else word for word in words]


def printed() -> list[str]:
    found = dict.fromkeys(line for page in PAGES if page != "CHANGELOG.md" for line in lines(page))
    whole = [line.partition(" > ")[0] for line in found]  # what a shell does with the output is the shell's
    kept = [line for line in whole if len(spelled(line)) == 1 and command_of(spelled(line)[0])[1]]
    kept.remove(
        "hauberk attack MODEL"
    )  # the command and its argument as a table names them; examples stand elsewhere
    return [line for line in kept if not any(name in line for name in ELSEWHERE)]


def turn(line: str) -> int:
    return max((place + 1 for place, start in enumerate(ORDER) if line.startswith(f"hauberk {start}")), default=0)


@pytest.mark.slow
def test_every_command_line_runs_as_printed(world, picture_model, served_claims):
    pictures = {"MODEL": str(picture_model[0]), "claims.csv": str(picture_model[1])}
    failed = []
    for line in sorted(printed(), key=turn):
        words = arguments(line, world, served_claims)
        if words[0] == "erase":
            words.append("--yes")  # a person confirms at the terminal, which a test is not
        if "MODEL" in words:
            words = [pictures.get(word, word) for word in words]
        stays = "--watch" in words
        code, output = world.run(
            words,
            folder=world.folder / "fresh" if words[0] == "init" else None,
            interrupt=stays,
        )
        if code != (INTERRUPTED if stays else DIFFERENT if words[:2] == ["data", "diff"] else 0):
            failed.append(f"{line}\n  exit {code}: {output[-400:]}")
    assert not failed, "\n".join(failed)


@pytest.fixture(scope="module")
def picture_model(tmp_path_factory) -> tuple[Path, Path]:
    """A linear model of digits as ONNX, and pictures in an .npz."""
    torch = pytest.importorskip("torch")
    from sklearn.datasets import load_digits

    from hauberk.models.spec import Spec
    from hauberk.models.torch_model import Encoded, TorchModel

    folder = tmp_path_factory.mktemp("pictures")
    raw = load_digits()
    x, y = (raw.images / 16).astype(np.float32)[:, None], raw.target.astype(np.int64)
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    model = TorchModel(Encoded(None, module), Spec("image", (1, 8, 8), 10), "cpu")
    (folder / "model.onnx").write_bytes(model.export_onnx())
    np.savez(folder / "pictures.npz", x=x[:200], y=y[:200])
    return folder / "model.onnx", folder / "pictures.npz"


@pytest.fixture(scope="module")
def served_claims():
    """The URL of a served model of the claims, which says no to everything."""
    place = ROOT / "tests" / "lifecycle" / "attacking" / "oip_server.py"
    spec = importlib.util.spec_from_file_location("oip_server_for_docs", place)
    server = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(server)
    service = server.Service(lambda x: np.tile(np.float32([0.9, 0.1]), (len(x), 1)), (8,), classes=2)
    with server.serving(service) as url:
        yield url
