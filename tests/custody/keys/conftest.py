"""The key services' fixtures, which other folders' tests take from `key_services` as well."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the folder is no package
from key_services import *  # noqa: F403 - fixtures are found by their names here
