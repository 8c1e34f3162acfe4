"""Aggregation: many small models vote, each trained on its own part of the rows, so few poisoned rows move few votes.

A hash of a row's bytes assigns the row to its parts (`partition`). Each part trains one deterministic model that sees no
other rows (`ensemble`, with one of the `learners`). From the votes follows how many poisoned rows each prediction
provably withstands (`certificate`). Answers: poisoning of any kind. Does not answer: inputs changed at prediction time.
The cost is accuracy, which is measured along with it.

Sources: Levine, Feizi, "Deep Partition Aggregation" (ICLR 2021); Wang, Levine, Feizi, "Improved Certified Defenses against
Data Poisoning with (Deterministic) Finite Aggregation" (ICML 2022).
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
