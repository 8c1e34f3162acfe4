"""Boosted trees on the measurements of a tumour's cells."""

from sklearn.ensemble import GradientBoostingClassifier


def build():
    """Return the unfitted estimator."""
    return GradientBoostingClassifier(n_estimators=100, max_depth=3, subsample=0.8)
