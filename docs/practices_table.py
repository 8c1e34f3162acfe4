"""Write the README's table of practices from the list in `hauberk.core.practices`: `python docs/practices_table.py`."""

import re
from pathlib import Path

from hauberk.core.practices import practice_table

README = Path(__file__).parents[1] / "README.md"
MARKED = re.compile(r"(<!-- practices: [^\n]*-->\n).*?(<!-- /practices -->)", re.DOTALL)


def renewed(text: str) -> str:
    """Return the README's text with the table as the list has it now."""
    return MARKED.sub(lambda found: f"{found[1]}{practice_table()}{found[2]}", text)


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
