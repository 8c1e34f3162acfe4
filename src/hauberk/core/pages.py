"""HTML pages from Jinja templates, under rules that hold for every page that Hauberk writes.

All text is escaped; hidden characters (control characters, bidirectional marks) are written out as code points; a name
that a template uses and the view lacks is an error. Each template declares its own content security policy.

Answers: hostile names in data and evidence, which can neither add markup nor disguise themselves. Does not answer: text
that a view marks as markup (`markupsafe.Markup`) without reason, or a template that writes a URL from the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from hauberk.core.text import one_line, visible

if TYPE_CHECKING:
    from jinja2 import Environment


def lay_out(package: str, template: str, view: Mapping[str, Any]) -> str:
    """Return the page that a template makes of `view`.

    package: the one whose folder `templates` holds the template. The filter `one_line` also writes out line breaks, for
    names that must not break a list.
    """
    return _environment(package).get_template(template).render(view)


@cache
def _environment(package: str) -> Environment:
    # Imported here: `import hauberk` and its command line start without a template engine.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["one_line"] = one_line
    return environment


def _shown(value: object) -> object:
    """Make hidden characters visible in everything but markup of our own."""
    from markupsafe import Markup

    return value if isinstance(value, Markup) else visible(value)
