"""The decoder: causal, the same with a past as without, the same as transformers' Llama with its weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from runwright_components.contract.config import LoraConfig, ModelConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models import Shape, build
from runwright_components.models.decoder import Decoder, settings_for
from runwright_components.models.lora import LoraLinear, adapt, merge
from runwright_components.models.pretrained_decoder import load_decoder

VOCABULARY = 50


def decoder(**fields: Any) -> Decoder:
    config = ModelConfig.model_validate(
        {"name": "decoder", "width": 32, "depth": 2, "heads": 4, "context": 16, "dropout": 0.0, **fields}
    )
    torch.manual_seed(0)
    return Decoder(settings_for(config, vocabulary=VOCABULARY)).eval()


IDS = torch.randint(0, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shared", [4, 2, 1])
def test_a_past_changes_nothing(shared: int) -> None:
    module = decoder(key_value_heads=shared)
    past = [(torch.zeros(3, shared, 0, 8), torch.zeros(3, shared, 0, 8))] * 2
    with torch.inference_mode():
        whole = module(IDS)
        first, past = module.extend(IDS[:, :5], past)
        second, past = module.extend(IDS[:, 5:6], past)
        third, _ = module.extend(IDS[:, 6:], past)
    torch.testing.assert_close(torch.cat([first, second, third], dim=1), whole, atol=1e-5, rtol=1e-5)


def test_no_token_sees_a_later_one() -> None:
    module = decoder()
    changed = IDS.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % VOCABULARY
    with torch.inference_mode():
        one, other = module(IDS), module(changed)
    assert torch.equal(one[:, :7], other[:, :7])
    assert not torch.allclose(one[:, 7:], other[:, 7:])


def test_a_fresh_decoder_guesses_almost_evenly() -> None:
    with torch.inference_mode():
        loss = torch.nn.functional.cross_entropy(decoder()(IDS)[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())
    assert float(loss) == pytest.approx(torch.log(torch.tensor(VOCABULARY)).item(), abs=0.4)


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"width": 36}, "width", "36 does not divide into 4 heads"),
        ({"key_value_heads": 3}, "key_value_heads", "4 heads cannot share 3"),
        ({"name": "textcnn"}, "name", "textcnn does not generate text"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(fields: dict[str, Any], field: str, message: str) -> None:
    config = ModelConfig.model_validate({"name": "decoder", "width": 32, "heads": 4, **fields})
    shape = Shape(task="generation", modality="text", classes=1, vocabulary=VOCABULARY, max_tokens=16)
    with pytest.raises(StageError, match=message) as caught:
        build(config, shape)
    assert caught.value.where == f"train.model.{field}"


# ---------------------------------------------------------------- pretrained

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}


def write_llama(folder: Path, **fields: Any) -> Any:
    """A tiny Llama of transformers in `folder`; gives the module."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        **{"rms_norm_eps": 1e-5, "tie_word_embeddings": False, **fields},
    )
    module = LlamaForCausalLM(config).eval()
    module.save_pretrained(folder, safe_serialization=True)
    return module


@pytest.mark.parametrize(
    "fields", [{}, {"tie_word_embeddings": True}, {"rope_parameters": LLAMA3}, {"head_dim": 16}], ids=str
)
def test_pretrained_weights_say_what_they_say_in_transformers(tmp_path: Path, fields: dict[str, Any]) -> None:
    theirs = write_llama(tmp_path / "llama", **fields)
    ours = load_decoder(tmp_path / "llama", context=16).eval()
    with torch.inference_mode():
        torch.testing.assert_close(ours(IDS), theirs(input_ids=IDS).logits, atol=1e-4, rtol=1e-4)


def altered(folder: Path, **fields: Any) -> Path:
    write_llama(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return folder


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "gpt2"}, "of type 'gpt2'"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_act": "gelu"}, "hidden_act gelu"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "'yarn'"),
        ({"model_type": "mistral", "sliding_window": 8}, "sliding_window 8"),
    ],
)
def test_another_architecture_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(StageError, match=message) as caught:
        load_decoder(altered(tmp_path / "x", **fields), context=16)
    assert caught.value.reason == Reason.UNSUPPORTED
    assert caught.value.cure


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"num_hidden_layers": 3}, "is not in both"), ({"hidden_size": 64, "head_dim": 8}, "size mismatch")],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(StageError, match=message):
        load_decoder(altered(tmp_path / "x", **fields), context=16)


def test_pickled_weights_are_refused_with_how_to_convert_them(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    write_llama(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(StageError, match="pickled weights") as caught:
        load_decoder(folder, context=16)
    assert "safe_serialization=True" in caught.value.cure


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"config\.json") as caught:
        load_decoder(tmp_path / "none", context=16)
    assert "Hugging Face layout" in caught.value.cure


# ---------------------------------------------------------------- adapters


def test_adapters_start_from_the_model_and_merge_into_it() -> None:
    module = decoder()
    with torch.inference_mode():
        before = module(IDS)
    adapted = adapt(module, LoraConfig(rank=4, alpha=8.0))
    assert torch.equal(adapted(IDS), before)
    learning = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert learning
    assert all(name.endswith((".up", ".down")) for name in learning)
    with torch.no_grad():
        for part in adapted.modules():
            if isinstance(part, LoraLinear):
                part.up.normal_(std=0.1)
        trained = adapted(IDS)
        merged = merge(adapted)(IDS)
    assert not torch.allclose(trained, before, atol=1e-3)
    torch.testing.assert_close(merged, trained, atol=1e-5, rtol=1e-5)
    assert merged.shape == before.shape
    assert set(module.state_dict()) == set(decoder().state_dict())
