"""Attacking one model from the command line: what `hauberk attack` does, as functions.

`targets` opens a model and the rows to attack it with, `endpoint` one that is served elsewhere; `aims` reads what the
adversary may do; `measuring` runs the campaign and turns it into evidence; `page` shows it.
"""

from __future__ import annotations

from hauberk.lifecycle.attacking.aims import Aim, read_aim
from hauberk.lifecycle.attacking.measuring import Outcome, attest, measure
from hauberk.lifecycle.attacking.targets import Rows, Target, open_rows, open_target

__all__ = ["Aim", "Outcome", "Rows", "Target", "attest", "measure", "open_rows", "open_target", "read_aim"]
