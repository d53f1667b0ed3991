"""A pretrained encoder of texts or images with a new head, of which all, some or no layers learn."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from runwright_components.contract.config import ModelConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models.depth import depths
from runwright_components.models.encoders import encoder_settings, hidden_width
from runwright_components.models.image import Standardize
from runwright_components.models.layers import Head
from runwright_components.models.shape import Shape
from runwright_components.models.transformer import masked_mean

_POSITIONS_AFTER_PAD = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "mpnet")


class Pretrained(nn.Module):
    """`digest` names the configuration and weights that the encoder came with; empty when it was rebuilt."""

    digest = ""

    def __init__(self, encoder: nn.Module, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        self.encoder = encoder
        self.freeze = config.freeze
        self.unfreeze = config.unfreeze
        self.head = Head(
            hidden_width(encoder), shape.classes, regression=shape.task == "regression", dropout=config.dropout
        )
        if self.freeze:
            encoder.requires_grad_(False)

    def thaw(self, epoch: int) -> None:
        """Let those layers of a frozen encoder learn whose time has come by 0-based `epoch`: all at once, or one by one
        from the top (Howard and Ruder 2018, ULMFiT)."""
        if not self.freeze or self.unfreeze is None or epoch < self.unfreeze.after:
            return
        found = depths(self.encoder)
        awake = 1 + (epoch - self.unfreeze.after) // self.unfreeze.every if self.unfreeze.every else len(found)
        lowest = max(found.values()) + 1 - awake
        for name, parameter in self.encoder.named_parameters():
            parameter.requires_grad_(found[name] >= lowest)
        self.train(self.training)

    @property
    def asleep(self) -> bool:
        """Whether no part of the encoder learns."""
        return self.freeze and not any(parameter.requires_grad for parameter in self.encoder.parameters())

    def train(self, mode: bool = True) -> Pretrained:
        super().train(mode)
        if self.asleep:
            self.encoder.eval()  # dropout of a frozen encoder would only add noise to its features
        return self

    def encode(self, **inputs: Any) -> Any:
        """The encoder's output, without gradients where nothing in it learns."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.asleep):
            return self.encoder(**inputs)


class PretrainedText(Pretrained):
    """`input_ids` and `attention_mask` int64 [N, T] through the encoder; the mean over the tokens goes to the head."""

    def __init__(self, encoder: nn.Module, config: ModelConfig, shape: Shape) -> None:
        _without_pooler(encoder)
        super().__init__(encoder, config, shape)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.encode(input_ids=input_ids, attention_mask=attention_mask)[0]
        out: Tensor = self.head(masked_mean(states, attention_mask))
        return out


class PretrainedImage(Pretrained):
    """`pixels` [N, C, H, W] through the encoder, by its own mean and deviation, which prepare has put into the shape.

    Of a transformer the class token goes to the head (the mean over the patches where there is none), of a
    convolutional network the mean over the places, normalized where the encoder does that. Positions of a transformer
    that was pretrained on another size are interpolated.
    """

    def __init__(self, encoder: nn.Module, config: ModelConfig, shape: Shape) -> None:
        maps = hasattr(encoder.config, "hidden_sizes")
        if not maps:
            _without_pooler(encoder)
        super().__init__(encoder, config, shape)
        self.standardize = Standardize(shape)
        self.maps = maps
        self.class_token = any(name.endswith("cls_token") for name, _ in encoder.named_parameters())
        native = encoder_settings(encoder).get("image_size")
        accepts = "interpolate_pos_encoding" in inspect.signature(encoder.forward).parameters
        resized = native is not None and shape.image[1:] != _sides(native)
        self.options: dict[str, Any] = {"interpolate_pos_encoding": True} if accepts and resized else {}
        self._check(shape)

    def forward(self, pixels: Tensor) -> Tensor:
        out: Tensor = self.head(self._features(self.standardize(pixels)))
        return out

    def _features(self, pixels: Tensor) -> Tensor:
        output = self.encode(pixel_values=pixels, **self.options)
        states: Tensor = output.last_hidden_state
        if self.maps:
            pooled = getattr(output, "pooler_output", None)
            return states.mean(dim=(2, 3)) if pooled is None else pooled.flatten(1)
        return states[:, 0] if self.class_token else states.mean(dim=1)

    def _check(self, shape: Shape) -> None:
        """Raise StageError (InvalidConfig) for images that the encoder cannot take."""
        settings = encoder_settings(self.encoder)
        channels, native = settings.get("num_channels", 3), settings.get("image_size")
        wanted = f"channels: {channels}"
        if native:
            wanted += f", height: {_sides(native)[0]}, width: {_sides(native)[1]}"
        try:
            with torch.no_grad():
                self._features(torch.zeros(1, *shape.image))
        except (ValueError, RuntimeError) as error:
            sizes = " x ".join(map(str, shape.image))
            raise StageError(
                Reason.INVALID_CONFIG,
                f"the encoder does not take images of {sizes} (channels, height, width): {str(error).splitlines()[0]}",
                where="train.model.pretrained",
                cure=f"set prepare.image: {{{wanted}}}",
            ) from error


def _without_pooler(encoder: nn.Module) -> None:
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # type: ignore[assignment]  # unused: its parameters would only be stored, and wait for gradients in vain


def _sides(size: int | list[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def longest_text(encoder: nn.Module) -> int | None:
    """Tokens that the encoder's positions reach; None: any number."""
    settings = encoder_settings(encoder)
    positions: int | None = settings.get("max_position_embeddings")
    if positions is not None and settings["model_type"] in _POSITIONS_AFTER_PAD:
        return positions - int(settings["pad_token_id"]) - 1
    return positions
