"""The version of Hauberk, in one place that every room can import."""

from __future__ import annotations

VERSION = "0.1.0"
