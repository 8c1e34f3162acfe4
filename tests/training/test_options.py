"""Options: values out of range are refused, and defaults depend on the optimiser and on fine-tuning."""

from __future__ import annotations

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.training import Options, Spec
from hauberk.training.options import recipe_of, refuse_for_estimators

PICTURES, TABLE = Spec("image", (1, 8, 8), 10), Spec("table", (4,), 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(epochs=0), "epochs must be 1 or more"),
        (Options(batch=1), "batch 2 or more"),
        (Options(learning_rate=float("nan")), "learning_rate must be a finite number"),
        (Options(weight_decay=-1.0), "weight_decay must be 0 or more"),
        (Options(optimizer="lion"), 'optimizer must be "sgd" or "adamw"'),
        (Options(precision="fp16"), 'precision must be "fp32", "bf16" or "auto"'),
        (Options(average=1.0), "average is a decay"),
        (Options(augment="flip"), 'augment must be "none" or "shift"'),
    ],
)
def test_options_out_of_range_are_refused(options, said):
    with pytest.raises(InvalidInput, match=said):
        recipe_of(options, PICTURES)


def test_a_table_cannot_be_shifted():
    with pytest.raises(InvalidInput, match="these data are a table"):
        recipe_of(Options(augment="shift"), TABLE)


def test_torch_options_on_an_estimator_are_refused():
    with pytest.raises(InvalidInput, match="training option 'epochs' is for torch models"):
        refuse_for_estimators(Options(epochs=3))


def test_options_at_their_defaults_are_fine_for_an_estimator():
    refuse_for_estimators(Options())


def test_fine_tuning_halves_the_rate_unless_one_is_set():
    for optimizer, rate in (("adamw", 3e-3), ("sgd", 0.05)):
        options = Options(optimizer=optimizer)
        assert recipe_of(options, PICTURES).learning_rate == rate
        assert recipe_of(options, PICTURES, fine_tune=True).learning_rate == rate / 2
    assert recipe_of(Options(learning_rate=0.01), PICTURES, fine_tune=True).learning_rate == 0.01
