"""`spec.train.augment`: random changes of training rows, which the validation and test splits never see."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from runwright_api.part import Part, Path, Rule

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


def _rule(modality: str, fields: tuple[str, ...]) -> Rule:
    """A rule of TrainSpec: `fields` of augment change rows of `modality` alone."""

    def broken(train: Any) -> list[Path]:
        used = [] if train.modality == modality else train.augment.used(fields)
        return [("augment", to_camel(name)) for name in used]

    unused = " && ".join(f"(!has({path}) || {path} == {default})" for path, default in map(_cel, fields))
    return Rule(
        message=f"for {modality}s only, of augment: {', '.join(map(to_camel, fields))}",
        broken=broken,
        cel=f"self.task.startsWith('{modality}-') || !has(self.augment) || ({unused})",
        cure="remove it",
    )


def _cel(field: str) -> tuple[str, str]:
    """How CEL reaches a field from TrainSpec, and its default."""
    default = Augment.model_fields[field].default
    return f"self.augment.{to_camel(field)}", str(default).lower() if isinstance(default, bool) else repr(default)


AUGMENT_RULES = (_rule("image", IMAGE_FIELDS), _rule("text", TEXT_FIELDS))
"""Rules of TrainSpec."""
