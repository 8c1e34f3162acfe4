"""Certified robustness: proves for single rows that no allowed change alters the prediction.

`bounds` certifies a network itself, by intervals and linear bounds; `smoothing` certifies the vote of a network over
noisy copies, with a stated probability of error. `curve` computes certified accuracy by radius with either of them, for
comparison with the empirical curve. An attack gives an upper bound of the true robustness, a certificate a lower bound.
"""
