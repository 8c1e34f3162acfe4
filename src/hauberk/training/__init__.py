"""Training: plain, hardened to declared budgets, fine-tuned, or by the team's own function; and what comes of it.

`load_callable` finds the team's builder; `train`, `fine_tune` and `train_own` return an `Outcome` whose model can
be attacked, exported to ONNX and stored as safetensors; `load_weights` and `OnnxModel` bring stored models back.
`plan` chooses method and epochs for a number of minutes. `adversarial` holds the hardening methods, one file each;
`certified` proves which predictions no allowed change can move; `aggregation` trains many small models whose vote
provably withstands a number of poisoned rows. torch is imported only for models that need it.
"""

from hauberk.models.onnx_model import CANNOT_HARDEN, OnnxModel
from hauberk.models.sklearn_model import SklearnModel
from hauberk.models.spec import Spec
from hauberk.training.aggregation import Certificates, Plan, aggregate, certify
from hauberk.training.building import load_callable
from hauberk.training.fitting import Hardening, Outcome, fine_tune, load_weights, train
from hauberk.training.options import Options
from hauberk.training.own import TrainingData
from hauberk.training.own import run as train_own
from hauberk.training.planning import Plan as TrainingPlan
from hauberk.training.planning import plan

__all__ = [
    "CANNOT_HARDEN",
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
    "aggregate",
    "certify",
    "fine_tune",
    "load_callable",
    "load_weights",
    "plan",
    "train",
    "train_own",
]
