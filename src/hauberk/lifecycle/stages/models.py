"""Train the reference and the hardened model, or take the one that was brought, and prove the exported form.

A trained model leaves its step as files (ONNX, and safetensors weights for torch) and comes back from them, so a
run that continues works on the very bytes that an earlier run trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hauberk import training
from hauberk.attacks.budget import budget_of
from hauberk.attacks.model import Model
from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Measurement, Subject
from hauberk.core.progress import Task
from hauberk.custody import statements
from hauberk.lifecycle.stages.job import HARDENED, PLAIN, About, Job
from hauberk.lifecycle.steps import Done, Product

ONNX, WEIGHTS = "model.onnx", "weights.safetensors"


@dataclass(frozen=True, slots=True)
class Trained:
    """A model of this run by its role, as the files that its step made."""

    role: str
    outputs: Mapping[str, str]
    values: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the ONNX file: the model's identity in evidence, gate and release."""
        return self.outputs[ONNX]

    def subjects(self, about: About) -> tuple[Subject, ...]:
        """Return what a measurement of this model is about."""
        return (*(Subject(name, digest) for name, digest in self.outputs.items()), about.subject)
