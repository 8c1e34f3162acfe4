from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - after torch is known to be there

from hauberk.models.layers import fold_norms, quicken, quickened  # noqa: E402


@given(
    channels=st.integers(1, 4),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    margin=st.tuples(st.integers(0, 2), st.integers(1, 2)),
    bias=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_a_quick_network_has_the_same_scores_and_gradients(channels, size, stride, margin, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, 5, size, stride=stride, padding=margin[0], dilation=margin[1], bias=bias)
    net = nn.Sequential(conv, nn.ReLU(), nn.Conv2d(5, 3, 1), nn.ReLU(inplace=True)).double()
    net.to(memory_format=torch.channels_last)
    x = torch.rand(3, channels, 11, 9, dtype=torch.float64).requires_grad_()

    def asked():
        scores = net(x)
        weights = torch.linspace(-1, 1, scores.numel(), dtype=torch.float64).view_as(scores)
        return [scores, *torch.autograd.grad((scores * weights).sum(), [x, *net.parameters()])]

    plain = asked()
    with quickened(net):
        assert type(net[0]) is not nn.Conv2d
        quick = asked()
    assert type(net[0]) is nn.Conv2d
    assert type(net[1]) is nn.ReLU
    for one, other in zip(plain, quick, strict=True):
        torch.testing.assert_close(one, other)


def test_layers_of_a_team_s_own_class_and_odd_convolutions_stay_what_they_are():
    class Theirs(nn.Conv2d):
        pass

    odd = [
        Theirs(1, 2, 3),
        nn.Conv2d(2, 2, 3, groups=2),
        nn.Conv2d(1, 2, 3, padding="same"),
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(16, 2, 3),
    ]
    kept = [type(part) for part in odd]
    quicken(nn.ModuleList(odd))
    assert [type(part) for part in odd] == kept


def used(net):
    """The network after some training, so that its statistics are not those of a new one."""
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    for _ in range(3):
        net(torch.randn(16, 3, 8, 8, dtype=torch.float64) * 2 + 1)
    return net.eval()


def test_folding_changes_no_score_and_leaves_shared_layers_right():
    torch.manual_seed(1)
    shared = nn.Conv2d(3, 3, 3, padding=1, bias=False)
    net = used(
        nn.Sequential(
            nn.Sequential(shared, nn.BatchNorm2d(3), nn.ReLU(), shared, nn.BatchNorm2d(3)),
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
        ).double()
    )
    x = torch.rand(5, 3, 8, 8, dtype=torch.float64)
    folded = copy.deepcopy(net)
    fold_norms(folded)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    torch.testing.assert_close(folded(x), net(x))


def test_what_looks_at_a_layer_on_its_way_keeps_its_batch_norm():
    net = used(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).double())
    net[0].register_forward_hook(lambda *_: None)
    fold_norms(net)
    assert isinstance(net[1], nn.BatchNorm2d)


def test_layers_keep_the_class_that_they_take_inside_and_give_the_quick_one_back_after_an_interrupt(monkeypatch):
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU())
    with quickened(net):
        net(torch.rand(1, 3, 8, 8))
    assert [type(part) for part in net] == [nn.Conv2d, nn.ReLU]

    def interrupted(module):
        quicken(module)
        raise KeyboardInterrupt

    monkeypatch.setattr("hauberk.models.layers.quicken", interrupted)
    with pytest.raises(KeyboardInterrupt), quickened(net):
        pass
    assert [type(part) for part in net] == [nn.Conv2d, nn.ReLU]
