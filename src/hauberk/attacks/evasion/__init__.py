"""Evasion: attacks on a model's input at prediction time, one file each, found by name in `ATTACKS`.

Each is also a function: `evasion.pgd(model, x, y, norm="linf", eps=8 / 255)` returns the adversarial inputs with a
verdict for each row (`attacks.verdict.Found`).
"""

from hauberk.attacks.attack import ATTACKS, Attack
from hauberk.attacks.evasion.capgd import capgd
from hauberk.attacks.evasion.evolutionary import evolutionary
from hauberk.attacks.evasion.hop_skip_jump import hop_skip_jump
from hauberk.attacks.evasion.pgd import pgd
from hauberk.attacks.evasion.square import square

__all__ = ["ATTACKS", "Attack", "capgd", "evolutionary", "hop_skip_jump", "pgd", "square"]
