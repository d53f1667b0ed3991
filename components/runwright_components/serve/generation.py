"""Text from a prompt, token by token, through a graph that keeps its keys and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from runwright_components.features.corpus import IDS, GenerationPreprocessing
from runwright_components.features.predictions import Generation
from runwright_components.serve.request_error import Kind, RequestError, kind_of

Floats = NDArray[np.float32]
_PAST = "past_key_values."
_DTYPE = np.float32
_STOPS, _LONGEST_STOP = 16, 200


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. `temperature` 0 takes the likeliest; else one is drawn, among the `top_k` likeliest
    (0: all) and the likeliest that make up `top_p` (nucleus sampling, Holtzman et al. 2020). A text ends before the
    first of `stop`. The same seed draws the same text, whatever other prompts stand in the request."""

    max_tokens: int = 64
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0


def read_sampling(parameters: object) -> Sampling:
    """The `parameters` of a request. Raises RequestError that names the parameter."""
    if parameters is None:
        return Sampling()
    if not isinstance(parameters, Mapping):
        raise _refused("type", f"expected an object, got {kind_of(parameters)}", 'send {"max_tokens": 100}')
    known = [each.name for each in fields(Sampling)]
    for name in parameters:
        if name not in known:
            close = get_close_matches(str(name), known, 1)
            cure = f'did you mean "{close[0]}"?' if close else f"the parameters are {', '.join(known)}"
            raise _refused("unknown", f'unknown parameter "{name}"', cure)
    return Sampling(
        max_tokens=_integer(parameters, "max_tokens", 1, 2**20, Sampling.max_tokens),
        temperature=_number(parameters, "temperature", 0.0, 100.0, Sampling.temperature),
        top_k=_integer(parameters, "top_k", 0, 2**31, Sampling.top_k),
        top_p=_number(parameters, "top_p", 0.0, 1.0, Sampling.top_p),
        stop=_stops(parameters.get("stop")),
        seed=_integer(parameters, "seed", 0, 2**63 - 1, Sampling.seed),
    )


class Generator:
    """Generates with a loaded graph, one prompt after the other."""

    def __init__(self, session: onnxruntime.InferenceSession, preprocessing: GenerationPreprocessing) -> None:
        self._session = session
        self._preprocessing = preprocessing
        self._outputs = [output.name for output in session.get_outputs()]
        pasts = [value for value in session.get_inputs() if value.name.startswith(_PAST)]
        self._pasts = [value.name for value in pasts]
        # Of the shape [N, heads, P, width], what is free is 1 row and nothing past.
        self._shapes = [(1, value.shape[1], 0, value.shape[3]) for value in pasts]

    def empty_past(self, rows: int) -> dict[str, Floats]:
        """Keys and values of no token yet."""
        shapes = zip(self._pasts, self._shapes, strict=True)
        return {name: np.zeros((rows, *shape[1:]), dtype=_DTYPE) for name, shape in shapes}

    def generate(self, prompts: Sequence[str], sampling: Sampling) -> list[Generation]:
        """A text for each prompt. Raises RequestError for a prompt that leaves no room in the context."""
        context = self._preprocessing.state.context
        tokens = [self._preprocessing.prompt(prompt) for prompt in prompts]
        for row, ids in enumerate(tokens):
            if len(ids) >= context:
                message = f"the prompt has {len(ids)} tokens, the model sees {context} at once"
                raise RequestError("size", message, cure="send its end alone", row=row, field="prompt")
        return [self.continued(ids, sampling) for ids in tokens]

    def continued(self, prompt: list[int], sampling: Sampling) -> Generation:
        """The text that follows the tokens of `prompt`, fewer than the context."""
        state = self._preprocessing.state
        random = np.random.default_rng(sampling.seed)
        room = min(sampling.max_tokens, state.context - len(prompt))
        past = {name: _value(array) for name, array in self.empty_past(1).items()}
        found: list[int] = []
        given = prompt
        while len(found) < room:
            ids = _value(np.array([given], dtype=np.int64))
            logits, *present = self._session.run_with_ort_values(self._outputs, {IDS: ids, **past})
            token = choose(logits.numpy()[0, -1], sampling, random)
            if token == state.end:
                return self._answer(found, "stop")
            found.append(token)
            if sampling.stop:
                text = self._preprocessing.text(found)
                if any(stop in text for stop in sampling.stop):
                    return self._answer(found, "stop", sampling.stop)
            past = dict(zip(self._pasts, present, strict=True))
            given = [token]
        return self._answer(found, "length")

    def _answer(self, found: list[int], reason: str, stops: Sequence[str] = ()) -> Generation:
        text = self._preprocessing.text(found)
        ends = [text.find(stop) for stop in stops if stop in text]
        return Generation(text[: min(ends)] if ends else text, reason, len(found))


def choose(logits: Floats, sampling: Sampling, random: np.random.Generator) -> int:
    """The next token from its logits [V]."""
    if sampling.temperature == 0.0:
        return int(logits.argmax())
    scaled = logits.astype(np.float64) / sampling.temperature
    order = np.argsort(-scaled, kind="stable")
    if sampling.top_k:
        order = order[: sampling.top_k]
    weights = np.exp(scaled[order] - scaled[order[0]])
    shares = np.cumsum(weights / weights.sum())
    kept = int(np.searchsorted(shares, min(sampling.top_p, 1.0))) + 1  # the token that reaches top_p is in
    shares = shares[:kept] / shares[min(kept, len(shares)) - 1]
    return int(order[min(int(np.searchsorted(shares, random.random(), side="right")), len(shares) - 1)])


def _value(array: NDArray[Any]) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _integer(parameters: Mapping[str, object], name: str, least: int, most: int, usual: int) -> int:
    value = parameters.get(name)
    if value is None:
        return usual
    if type(value) is not int:
        raise _refused("type", f"expected an integer, got {kind_of(value)}", "", name)
    if not least <= value <= most:
        raise _refused("value", f"{value} is not between {least} and {most}", "", name)
    return value


def _number(parameters: Mapping[str, object], name: str, least: float, most: float, usual: float) -> float:
    value = parameters.get(name)
    if value is None:
        return usual
    if type(value) is not float and type(value) is not int:
        raise _refused("type", f"expected a number, got {kind_of(value)}", "", name)
    if not least <= value <= most:
        raise _refused("value", f"{value} is not between {least:g} and {most:g}", "", name)
    return float(value)


def _stops(value: object) -> tuple[str, ...]:
    listed = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(stop, str) and stop for stop in listed):
        raise _refused("type", "expected a string or a list of strings, none empty", "", "stop")
    if len(listed) > _STOPS or any(len(stop) > _LONGEST_STOP for stop in listed):
        raise _refused("size", f"at most {_STOPS} strings of {_LONGEST_STOP} characters", "send fewer", "stop")
    return tuple(listed)


def _refused(kind: Kind, message: str, cure: str, name: str = "") -> RequestError:
    return RequestError(kind, message, cure=cure, field=f"parameters.{name}" if name else "parameters", root="body")
