"""Aggregation: many small models vote, each from its own part of the rows; so a few poisoned rows cannot move a vote.

The part that a row goes to is decided by a hash of its own bytes (`partition`), each part trains one deterministic
model that sees nothing else (`ensemble`, by one of the `learners`), and the votes say of every prediction how many
poisoned rows it provably withstands (`certificate`). Answers poisoning whatever the poison looks like, at a price in
accuracy that is measured beside it. Sources: Levine, Feizi, "Deep Partition Aggregation" (ICLR 2021); Wang, Levine,
Feizi, "Improved Certified Defenses against Data Poisoning with (Deterministic) Finite Aggregation" (ICML 2022).
"""

from hauberk.training.aggregation.certificate import Certificates, certify
from hauberk.training.aggregation.ensemble import Aggregate, aggregate, vote
from hauberk.training.aggregation.learners import LEARNERS, Lesson, from_builder
from hauberk.training.aggregation.partition import Plan, row_digests

__all__ = [
    "LEARNERS",
    "Aggregate",
    "Certificates",
    "Lesson",
    "Plan",
    "aggregate",
    "certify",
    "from_builder",
    "row_digests",
    "vote",
]
