from __future__ import annotations

from hauberk.core.progress import Progress, Quiet


def test_nothing_is_shown_when_nobody_watches(capsys):
    with Progress().task("Work") as task:
        task.update(0.5, text="half")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "")


def test_a_watched_task_says_what_it_does_on_standard_error(capsys):
    with Progress(visible=True).task("Work") as task:
        task.update(0.5, text="half")
    out, _ = capsys.readouterr()
    assert out == ""


def test_a_quiet_task_remembers_how_far_it_is():
    task = Quiet()
    task.update(0.25)
    assert task.done == 0.25


def test_a_hostile_title_is_shown_as_it_is(capsys):
    with Progress(visible=True).task("Hashing [/]x\x1b[2J") as task:
        task.update(0.5, text="[/]half")
    _, err = capsys.readouterr()
    assert "\x1b[2J" not in err
