"""Where a text model's tokenizer comes from: trained on the training split, or the pretrained encoder's own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from runwright_components.contract.artifacts import TOKENIZER
from runwright_components.contract.config import PrepareConfig, TextRules
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.encoder import encoder_files

PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
FILES = (TOKENIZER, "vocab.txt")  # of a pretrained encoder, in the order in which they are looked for
SPECIAL = (PAD, UNKNOWN, START, END)  # their numbers are 0 to 3

_ROBERTA = ("roberta", "xlm-roberta", "camembert")  # their positions start after the padding token's number
_NO_LIMIT = 1_000_000  # transformers writes huge numbers where a tokenizer has no limit


def train(texts: Iterable[str], rules: TextRules) -> Tokenizer:
    """Byte-level BPE (Sennrich et al. 2016; bytes as in Radford et al. 2019) of at most `rules.vocabulary` tokens.

    No text is unknown to it: the 256 bytes are tokens. The same texts give the same tokenizer.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase()] if rules.lowercase else [])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    learn_pairs(tokenizer, texts, rules.vocabulary, SPECIAL)
    tokenizer.post_processor = _bracketed(tokenizer)
    return tokenizer


def pretrained(config: PrepareConfig) -> tuple[Tokenizer, int, Path]:
    """The tokenizer in the encoder's folder, the most tokens that a text may have, and the file read.

    Reads tokenizer.json, or else vocab.txt (WordPiece). Raises StageError that names what was looked for.
    """
    folder = _folder(config)
    file = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if file is None:
        raise StageError(
            Reason.SOURCE_NOT_FOUND,
            "the pretrained encoder has no tokenizer: neither tokenizer.json nor vocab.txt is there",
            where=str(folder),
            cure="copy tokenizer.json from where the encoder came; for a SentencePiece model write it with "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )
    tokenizer = _load(file) if file.name == TOKENIZER else _word_pieces(file)
    settings = _json(folder / "config.json")
    size, known = tokenizer.get_vocab_size(), settings.get("vocab_size")
    if isinstance(known, int) and size > known:
        raise StageError(
            Reason.DATA_INVALID,
            f"the tokenizer has {size} tokens, the encoder knows {known}",
            where=str(folder),
            cure="take tokenizer and encoder from the same model",
        )
    return tokenizer, min(config.text.max_tokens, _limit(folder, settings)), file


def settings(config: PrepareConfig) -> dict[str, Any]:
    """`config.json` of the pretrained model; empty where there is none."""
    return _json(_folder(config) / "config.json")


def _folder(config: PrepareConfig) -> Path:
    return encoder_files(config.pretrained or "", Path(config.base))


def pad_token(tokenizer: Tokenizer, config: PrepareConfig) -> int:
    """The number of the padding token; 0 where there is none, since padding is masked."""
    if config.pretrained is None:
        return SPECIAL.index(PAD)
    folder = _folder(config)
    named = _json(folder / "special_tokens_map.json").get("pad_token")
    names = (named["content"] if isinstance(named, dict) else named, PAD, "<pad>")
    found = (tokenizer.token_to_id(name) for name in names if isinstance(name, str))
    return next((number for number in found if number is not None), 0)


def special_tokens(tokenizer: Tokenizer) -> dict[str, int]:
    """The special tokens and their numbers."""
    added = tokenizer.get_added_tokens_decoder()
    return {token.content: number for number, token in sorted(added.items()) if token.special}


def learn_pairs(tokenizer: Tokenizer, texts: Iterable[str], vocabulary: int, special: Sequence[str]) -> None:
    """Learn at most `vocabulary` tokens: the special ones, the 256 bytes, and pairs that stand in the texts twice."""
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)


def _bracketed(tokenizer: Tokenizer) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (START, END)],
    )


def _load(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:
        # tokenizers raises plain Exception
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"{path.name} cannot be read: {error}",
            where=str(path.parent),
            cure="copy the file again from where the encoder came",
        ) from error


def _word_pieces(file: Path) -> Tokenizer:
    """BERT's WordPiece (Devlin et al. 2019) of `vocab.txt`, a token a line."""
    settings = _json(file.with_name("tokenizer_config.json"))
    lines = file.read_text(encoding="utf-8").split("\n")  # splitlines would also cut at U+2028 and the like
    lines = [line.removesuffix("\r") for line in (lines[:-1] if not lines[-1] else lines)]
    vocabulary = {token: number for number, token in enumerate(lines)}
    if absent := [token for token in SPECIAL if token not in vocabulary]:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"{file.name} lacks {', '.join(absent)}",
            where=str(file.parent),
            cure="copy vocab.txt or tokenizer.json again from where the encoder came",
        )
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=bool(settings.get("do_lower_case", True)))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = _bracketed(tokenizer)
    return tokenizer


def _limit(folder: Path, settings: dict[str, Any]) -> int:
    """How many tokens the encoder has positions for."""
    limits = [_json(folder / "tokenizer_config.json").get("model_max_length"), settings.get("max_position_embeddings")]
    if settings.get("model_type") in _ROBERTA and isinstance(limits[1], int):
        limits[1] -= int(settings.get("pad_token_id") or 1) + 1
    return min((int(limit) for limit in limits if isinstance(limit, int | float) and limit > 0), default=_NO_LIMIT)


def _json(path: Path) -> dict[str, Any]:
    """A JSON object that may be absent. Raises StageError when it is something else."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"{path.name} is not JSON: {error}",
            where=str(path.parent),
            cure="copy the file again from where the encoder came",
        ) from error
    return content if isinstance(content, dict) else {}
