"""PNG pictures of inputs and of the changes made by an attack, for reports."""

from __future__ import annotations

import base64
import io

import numpy as np

from hauberk.core.extras import need
from hauberk.models.port import Floats

_WIDTH = 96  # pixels; smaller images are enlarged by whole factors, so that pixels stay square


def picture(image: Floats) -> str:
    """Return a base64 PNG of one image, (channels, height, width) in [0, 1], with 1 or 3 channels."""
    return _png(np.clip(image, 0.0, 1.0))


def difference(before: Floats, after: Floats) -> str:
    """Return a base64 PNG of after - before, amplified to the full range; gray means unchanged."""
    change = after.astype(np.float32) - before.astype(np.float32)
    largest = float(np.abs(change).max())
    return _png(0.5 + 0.5 * change / largest if largest else np.full_like(change, 0.5))


def _png(image: Floats) -> str:
    pixels = np.round(image * 255).astype(np.uint8).transpose(1, 2, 0)
    factor = max(1, _WIDTH // max(pixels.shape[:2]))
    pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    pixels = pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, 0]
    buffer = io.BytesIO()
    need("PIL.Image").fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
