from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.records.jobs import only_job

HOLDS = """
import sys, time
from pathlib import Path
from hauberk.records.jobs import only_job
with only_job(Path(sys.argv[1]), "update"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_job_is_refused_and_the_first_one_named(tmp_path):
    with (
        only_job(tmp_path / ".hauberk", "protect"),
        pytest.raises(Unavailable, match=rf"protect, process {os.getpid()}\).*job\.lock.*`hauberk rollback` again"),
        only_job(tmp_path / ".hauberk", "rollback"),
    ):
        pass
    with only_job(tmp_path / ".hauberk", "rollback"):
        assert (tmp_path / ".hauberk" / "job.lock").read_text() == f"rollback, process {os.getpid()}\n"


def test_the_lock_goes_with_a_killed_process(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Unavailable, match=rf"update, process {holder.pid}\)"), only_job(tmp_path, "protect"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with only_job(tmp_path, "protect"):
        pass


def test_a_job_that_fails_releases_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), only_job(tmp_path, "protect"):
        raise ZeroDivisionError
    with only_job(tmp_path, "protect"):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises((InvalidInput, Unavailable), match="file"), only_job(tmp_path / "file", "protect"):
        pass


def test_a_link_under_the_name_of_the_lock_does_not_empty_what_it_leads_to(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "job.lock").symlink_to(victim)
    with pytest.raises(InvalidInput, match="is a link"), only_job(tmp_path / "home", "protect"):
        pass
    assert victim.read_text() == "precious"
