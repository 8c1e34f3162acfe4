"""Attacking one model from the command line: the job of `hauberk attack`, as functions.

`command` is the whole job. `targets` opens a model and the rows to attack it with, `endpoint` a model that is served
elsewhere; `aims` reads the threat; `measuring` runs the campaign and attests it; `page` shows it.
"""

from __future__ import annotations

from hauberk.lifecycle.attacking.aims import Aim, read_aim
from hauberk.lifecycle.attacking.measuring import Outcome, attest, measure
from hauberk.lifecycle.attacking.targets import Rows, Target, open_rows, open_target

__all__ = ["Aim", "Outcome", "Rows", "Target", "attest", "measure", "open_rows", "open_target", "read_aim"]
