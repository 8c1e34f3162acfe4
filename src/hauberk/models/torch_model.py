"""TorchModel: a torch module with its encoder, for attacks, exports and stored weights. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.models import _blame, _scores
from hauberk.models.encoding import Encoding
from hauberk.models.isolation import isolated
from hauberk.models.network import Held, batches
from hauberk.models.port import Floats
from hauberk.models.spec import Spec

_ENCODER = "hauberk.encoder."  # prefix of the encoder's entries among the stored weights


class Encoder(nn.Module):
    """`encoding.Encoding` as a module: (n, d) coded rows to (n, features). Numbers are differentiable, categories are not."""

    def __init__(self, encoding: Encoding) -> None:
        super().__init__()
        # Column indices are rebuilt from the table's columns; mean and scale are stored with the weights.
        self.register_buffer("numbers", torch.from_numpy(encoding.numbers), persistent=False)
        self.register_buffer("sources", torch.from_numpy(encoding.sources), persistent=False)
        self.register_buffer("codes", torch.from_numpy(encoding.codes), persistent=False)
        self.register_buffer("mean", torch.from_numpy(encoding.mean))
        self.register_buffer("scale", torch.from_numpy(encoding.scale))
        self.numbers: Tensor
        self.sources: Tensor
        self.codes: Tensor
        self.mean: Tensor
        self.scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return the encoded rows."""
        numbers = (x.index_select(1, self.numbers) - self.mean) / self.scale
        flags = x.index_select(1, self.sources).round() == self.codes
        return torch.cat([numbers, flags.to(x.dtype)], dim=1)


class Encoded(nn.Module):
    """The team's module behind the encoder; encoder is None for images, which are not encoded."""

    def __init__(self, encoder: Encoder | None, inner: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Return the inner module's scores."""
        scores: Tensor = self.inner(x if self.encoder is None else self.encoder(x))
        return scores


class TorchModel:
    """A torch model as a `models.port.Differentiable`, with export to ONNX and safetensors.

    Asking it never changes `module`: a training loop may keep it in training mode meanwhile.
    """

    framework = "torch"

    def __init__(self, module: Encoded, spec: Spec, device: str) -> None:
        """Move `module`, which the caller hands over, to `device`, and set it to evaluation mode."""
        self.module = module.to(device).eval()
        self.spec = spec
        self.device = device

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.spec.classes

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) logits in evaluation mode. Raises InvalidInput for NaN or another shape."""
        module = isolated(self.module, share=True)
        with torch.no_grad():
            parts = [forward(module, part).float().cpu().numpy() for part in batches(x, self.device)]
        raw = np.concatenate(parts) if parts else np.zeros((0, self.classes), np.float32)
        return _scores.checked(raw, len(x), self.classes, who="the model")

    def logits(self, x: Tensor) -> Tensor:
        """Return (n, classes) logits, differentiable by x; in evaluation mode, the module itself is not changed."""
        return forward(isolated(self.module, share=True), x).float()

    def held(self) -> Held:
        """Return a fast copy for a search."""
        return Held(self.module, self.classes, self.device)

    def weights(self) -> bytes:
        """Return the weights as safetensors: the team's names, and the encoder's under `hauberk.encoder.`.

        `load_state_dict` of the team's module accepts the first group unchanged. The same weights give the same bytes:
        entries are sorted and there is no metadata.
        """
        from safetensors.torch import save

        state = self.module.inner.state_dict()
        tensors = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
        if self.module.encoder is not None:
            for name, value in self.module.encoder.state_dict().items():
                tensors[_ENCODER + name] = value.detach().cpu().clone().contiguous()
        return bytes(save(dict(sorted(tensors.items()))))

    def export_onnx(self) -> bytes:
        """Return the model as ONNX: "input" float32 with a free batch size, "scores" (batch, classes).

        The bytes depend only on the model: they contain no path, time or source text. They are run and compared with the
        model. Raises InvalidInput if the module cannot be exported.
        """
        from hauberk.models._torch_export import torch_to_onnx

        return torch_to_onnx(self, self.module, self.spec)


def forward(module: nn.Module, x: Tensor) -> Tensor:
    """Return module(x). Raises InvalidInput with the line of the user's code if it raises or returns no tensor."""
    try:
        scores = module(x.clone())  # a first layer that works in place would change rows that the caller still uses
    except (HauberkError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        place = _blame.place(error, otherwise="the model")
        raise InvalidInput(
            f"{place}: the model's forward raised {_blame.told(error)} for an input of shape {tuple(x.shape)}."
        ) from error
    if not isinstance(scores, Tensor):
        raise InvalidInput(f"the model's forward returned a {type(scores).__name__}; expected a tensor of scores.")
    return scores


def read_weights(module: Encoded, data: bytes) -> None:
    """Load safetensors bytes into a module of the same builder.

    Accepts files by Hauberk and plain files with the team's names only. Raises InvalidInput if the bytes are not
    safetensors, contain NaN, or do not fit, naming the entry that is missing, unexpected or of another shape.
    """
    tensors = _open(data)
    encoder = {name[len(_ENCODER) :]: value for name, value in tensors.items() if name.startswith(_ENCODER)}
    inner = {name: value for name, value in tensors.items() if not name.startswith(_ENCODER)}
    _fit_in(module.inner, inner)
    if encoder and module.encoder is not None:
        _fit_in(module.encoder, encoder)
    elif encoder:
        raise InvalidInput("these weights belong to a table's model, and the project's data are images.")


def has_encoder(data: bytes) -> bool:
    """Return whether safetensors bytes contain an encoder, as the files that Hauberk writes for tables do."""
    return any(name.startswith(_ENCODER) for name in _open(data))


def _open(data: bytes) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors: dict[str, Tensor] = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise InvalidInput(
            f"the weights are not a safetensors file: {error}. They may be truncated; write them with "
            "safetensors.torch.save_file(model.state_dict(), ...)."
        ) from error
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise InvalidInput(f"weight {name!r} holds NaN or infinity: the model diverged before it was saved.")
    return tensors


def _fit_in(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    expected = module.state_dict()
    for name in sorted(set(expected) | set(tensors)):
        if name not in tensors:
            raise InvalidInput(
                f"the weights lack {name!r}, which the builder's model has. Use the builder that the weights come from."
            )
        if name not in expected:
            raise InvalidInput(
                f"the weights hold {name!r}, which the builder's model lacks. Is it the same builder?"
            )
        if expected[name].shape != tensors[name].shape:
            raise InvalidInput(
                f"weight {name!r} has shape {tuple(tensors[name].shape)}; the builder's model has "
                f"{tuple(expected[name].shape)}. Is it the same builder, for the same data?"
            )
    module.load_state_dict(dict(tensors))
