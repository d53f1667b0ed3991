"""`spec.train.augment`: random changes of training rows, which the validation and test splits never see."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Part

IMAGE_FIELDS = ("crop", "flip", "rotate", "color", "erase", "policy", "mixup", "cutmix")
TEXT_FIELDS = ("token_dropout",)

_Share = Field(ge=0.0, le=1.0)
_Alpha = Field(ge=0.0, le=100.0)


class Augment(Part):
    """Random changes of training images and texts."""

    crop: bool = False
    """Images: pad and crop at random. Default: false."""
    flip: bool = False
    """Images: mirror left and right at random; only where that keeps the label. Default: false."""
    rotate: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    """Images: turn by up to this many degrees. Default: 0."""
    color: Annotated[float, _Share] = 0.0
    """Images: brightness, contrast and saturation change by up to this share. Default: 0."""
    erase: Annotated[float, _Share] = 0.0
    """Images: share of the images in which a random rectangle is blanked. Default: 0."""
    policy: Literal["none", "trivialaugment", "randaugment"] = "none"
    """Images: torchvision's TrivialAugmentWide or RandAugment, before the others. Default: none."""
    mixup: Annotated[float, _Alpha] = 0.0
    """Images: alpha of mixup, which blends two images and their labels. Default: 0, off."""
    cutmix: Annotated[float, _Alpha] = 0.0
    """Images: alpha of CutMix, which pastes a piece of another image; with mixup they take turns. Default: 0, off."""
    token_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Texts: share of the tokens hidden from the model. Default: 0."""

    def used(self, fields: tuple[str, ...]) -> list[str]:
        """Those of `fields` that change something."""
        return [name for name in fields if getattr(self, name) != type(self).model_fields[name].default]


def unused_cel(fields: tuple[str, ...]) -> str:
    """CEL: none of `fields` of self.augment changes anything."""
    parts = []
    for name in fields:
        field = Augment.model_fields[name]
        path = f"self.augment.{field.alias}"
        default = repr(field.default) if not isinstance(field.default, bool) else str(field.default).lower()
        parts.append(f"(!has({path}) || {path} == {default})")
    return f"!has(self.augment) || ({' && '.join(parts)})"
