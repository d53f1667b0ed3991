"""What language models and other kinds of jobs ask of the rest: a name, the changes, the place, the words told."""

from typing import Any

MODEL = "spec.train.model"
TEXT = "spec.prepare.text"


def language(changes: dict[str, Any]) -> dict[str, Any]:
    return {"spec.train.task": "text-generation", "spec.prepare": None, **changes}


LANGUAGE_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("odd groups", language({MODEL: {"heads": 4, "keyValueHeads": 3}}), f"{MODEL}.keyValueHeads", "divides heads"),
    ("lora of nothing", language({MODEL: {"lora": {}}}), f"{MODEL}.lora", "needs a pretrained model"),
    (
        "lora of an encoder",
        {
            "spec.train.task": "text-classification",
            "spec.prepare": None,
            MODEL: {"name": "pretrained", "pretrained": "encoder", "lora": {}},
        },
        f"{MODEL}.lora",
        "are for text-generation",
    ),
    (
        "a frozen decoder",
        language({MODEL: {"name": "pretrained", "pretrained": "llama", "freeze": True}}),
        f"{MODEL}.freeze",
        "are for encoders",
    ),
    ("prompt alone", language({TEXT: {"prompt": "ask"}}), f"{TEXT}.response", "belong together"),
    (
        "messages and prompts",
        language({TEXT: {"prompt": "a", "response": "b", "messages": "c"}}),
        f"{TEXT}.messages",
        "hold prompts and responses already",
    ),
    (
        "messages of a classifier",
        {"spec.train.task": "text-classification", "spec.prepare": {"text": {"messages": "c"}}},
        f"{TEXT}.messages",
        "are for text-generation",
    ),
    ("Ray without code", {"spec.train.backend": "rayjob"}, "spec.train.backend", "the user's own code"),
    (
        "a long name",
        {"spec.train.backend": "trainjob", "metadata.name": "a" * 41},
        "metadata.name",
        "at most 40 characters",
    ),
]
