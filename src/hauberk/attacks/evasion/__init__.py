"""Evasion: attacks on a model's input at prediction time, one file each, found by name in `ATTACKS`.

Each is also a function: `evasion.pgd(model, x, y, norm="linf", eps=8 / 255)` returns the adversarial inputs with a
verdict for each row (`attacks.verdict.Found`).
"""

from hauberk.attacks.attack import ATTACKS, Attack
from hauberk.attacks.evasion.apgd import apgd
from hauberk.attacks.evasion.auto_attack import auto_attack
from hauberk.attacks.evasion.carlini_wagner import carlini_wagner
from hauberk.attacks.evasion.ddn import ddn
from hauberk.attacks.evasion.deepfool import deepfool
from hauberk.attacks.evasion.fab import fab
from hauberk.attacks.evasion.fgsm import fgsm
from hauberk.attacks.evasion.fmn import fmn
from hauberk.attacks.evasion.pgd import pgd
from hauberk.attacks.evasion.square import square

__all__ = [
    "ATTACKS",
    "Attack",
    "apgd",
    "auto_attack",
    "carlini_wagner",
    "ddn",
    "deepfool",
    "fab",
    "fgsm",
    "fmn",
    "pgd",
    "square",
]
