"""Evasion: attacks on a model's input at prediction time, one file each, found by name in `ATTACKS`.

Each is also a function: `evasion.pgd(model, x, y, norm="linf", eps=8 / 255)` returns the adversarial inputs with a
verdict for each row (`attacks.verdict.Found`).
"""

from hauberk.attacks.attack import ATTACKS, Attack
from hauberk.attacks.evasion.apgd import apgd
from hauberk.attacks.evasion.auto_attack import auto_attack
from hauberk.attacks.evasion.capgd import capgd
from hauberk.attacks.evasion.carlini_wagner import carlini_wagner
from hauberk.attacks.evasion.corruptions import accuracy_by_corruption, corruptions
from hauberk.attacks.evasion.ddn import ddn
from hauberk.attacks.evasion.deepfool import deepfool
from hauberk.attacks.evasion.evolutionary import evolutionary
from hauberk.attacks.evasion.fab import fab
from hauberk.attacks.evasion.fgsm import fgsm
from hauberk.attacks.evasion.fmn import fmn
from hauberk.attacks.evasion.hop_skip_jump import hop_skip_jump
from hauberk.attacks.evasion.label_search import label_search
from hauberk.attacks.evasion.patch import patch
from hauberk.attacks.evasion.pgd import pgd
from hauberk.attacks.evasion.spatial import spatial
from hauberk.attacks.evasion.square import square
from hauberk.attacks.evasion.transfer import transfer

__all__ = [
    "ATTACKS",
    "Attack",
    "accuracy_by_corruption",
    "apgd",
    "auto_attack",
    "capgd",
    "carlini_wagner",
    "corruptions",
    "ddn",
    "deepfool",
    "evolutionary",
    "fab",
    "fgsm",
    "fmn",
    "hop_skip_jump",
    "label_search",
    "patch",
    "pgd",
    "spatial",
    "square",
    "transfer",
]
