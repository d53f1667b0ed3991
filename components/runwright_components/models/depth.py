"""Which layer of a pretrained encoder a parameter belongs to."""

from __future__ import annotations

from torch import nn


def depths(encoder: nn.Module) -> dict[str, int]:
    """The depth of each parameter by its name: 0 for what comes before the layers (embeddings, stem), then 1 for the
    first layer or stage, and so on; what comes after the last one (a final norm) counts to it."""
    layers, place = _layers(encoder)
    names = [name for name, _ in encoder.named_parameters()]
    inside = [name.startswith(f"{place}.") for name in names]
    first = inside.index(True) if any(inside) else len(names)
    found: dict[str, int] = {}
    for index, name in enumerate(names):
        if inside[index]:
            found[name] = 1 + int(name.removeprefix(f"{place}.").partition(".")[0])
        else:
            found[name] = 0 if index < first else len(layers)
    return found


def _layers(encoder: nn.Module) -> tuple[nn.ModuleList, str]:
    """The outermost list of modules, and its name: transformers call it layer, layers, stages or blocks."""
    lists = [(part, name) for name, part in encoder.named_modules() if isinstance(part, nn.ModuleList) and len(part)]
    return min(lists, key=lambda each: each[1].count("."), default=(nn.ModuleList(), ""))
