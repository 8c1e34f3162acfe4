"""Certified robustness: for which rows is it proven that no allowed change moves the prediction.

`bounds` proves it of a net itself, by intervals and linear bounds; `smoothing` of the vote of a net over noisy
copies, with a stated probability of error. `curve` asks either at several radii: certified accuracy by radius, to
stand beside the empirical curve. An attack gives an upper bound of the true robustness, a certificate a lower one.
"""
