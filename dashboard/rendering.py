"""Rendering of templates: numbers in them are for machines, whatever the host's settings say.

What people read is written by :mod:`.draw.values` in their own way. A plain ``{{ number }}`` stands
in an attribute, and ``value="3.600"`` would be another number with ``USE_THOUSAND_SEPARATOR``.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, loader


def render(
    request: HttpRequest, template: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """Render *template* as Django's own ``render`` does, and write numbers as they are."""
    found: Any = loader.get_template(template)
    return HttpResponse(
        found.template.render(RequestContext(request, context, use_l10n=False)), status=status
    )
