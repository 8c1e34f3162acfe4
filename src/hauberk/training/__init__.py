"""Training: plain, hardened to declared budgets, fine-tuned, or by the team's own function; certificates of the result.

This page lists what is public. `load_callable` loads the team's builder; `train`, `fine_tune` and `train_own` return an
`Outcome` whose model can be attacked, exported to ONNX and stored as safetensors; `load_weights` and `OnnxModel` load
stored models. `plan` chooses method and epochs for a number of minutes.

- Hardening methods, one file each in `adversarial`: `HARDENING`, `Traits` and `Batch` are what a new file needs.
- `aggregation`: many small models whose vote provably withstands a number of poisoned rows.
- `certified`: proves which predictions no allowed change can alter. Imports torch.
- `loop`, `descent`, `sampling`, `state`: the training loop with its parts handed in, for trainings with a descent of their
  own (private, federated). They import torch when they are imported, and this package does not import them.
- `squeezing`: layers for a model's builder. Imports torch.
"""

from hauberk.models.onnx_model import CANNOT_HARDEN, OnnxModel
from hauberk.models.sklearn_model import SklearnModel
from hauberk.models.spec import Spec
from hauberk.training.adversarial import HARDENING, Traits
from hauberk.training.aggregation import Certificates, Plan, aggregate, certify
from hauberk.training.batch import Batch
from hauberk.training.building import load_callable
from hauberk.training.fitting import Build, Hardening, Outcome, fine_tune, load_weights, train
from hauberk.training.options import Options
from hauberk.training.own import TrainingData
from hauberk.training.own import run as train_own
from hauberk.training.planning import Plan as TrainingPlan
from hauberk.training.planning import plan

__all__ = [
    "CANNOT_HARDEN",
    "HARDENING",
    "Batch",
    "Build",
    "Certificates",
    "Hardening",
    "OnnxModel",
    "Options",
    "Outcome",
    "Plan",
    "SklearnModel",
    "Spec",
    "TrainingData",
    "TrainingPlan",
    "Traits",
    "aggregate",
    "certify",
    "fine_tune",
    "load_callable",
    "load_weights",
    "plan",
    "train",
    "train_own",
]
