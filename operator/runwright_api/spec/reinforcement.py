"""`spec.train.environment` and `spec.train.reinforcement`: where an agent acts, and how it learns to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field
from pydantic.alias_generators import to_camel

from runwright_api.part import Lax, Part, Path, Rule, given, none_given_cel, unless
from runwright_api.spec.model import ModelSpec
from runwright_api.spec.shared import SET, Scalar, unique
from runwright_api.text import EnvName, FilePath, Word

TASK = "environment-control"


class Environment(Part):
    """Where the agent acts: an environment that Gymnasium knows, or a class of a Python file of yours."""

    id: Word | None = None
    """An environment registered with Gymnasium, for example CartPole-v1."""
    file: FilePath | None = None
    """In place of id: a Python file, relative to the YAML file; in a cluster an s3:// address."""
    class_name: Annotated[EnvName | None, Field(alias="class")] = None
    """The subclass of gymnasium.Env in the file."""
    files: Annotated[
        tuple[FilePath, ...], Field(max_length=64, json_schema_extra=SET), Lax, AfterValidator(unique)
    ] = ()
    """What the file reads: it finds them by their names in its own folder."""
    arguments: Annotated[dict[EnvName, Scalar], Field(max_length=64)] = Field(default={})
    """Keyword arguments of the environment."""
    baseline: EnvName | None = None
    """A function of the file that takes an observation and gives an action: the rule of thumb to be compared with."""
    max_steps: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    """An episode is cut after so many steps. Default: the environment's own limit, or else 10,000."""
    reward_threshold: Annotated[float | None, Field(ge=-1e15, le=1e15)] = None
    """The return from which an episode is a success. Default: the environment's own, where it has one."""

    rules = (
        Rule(
            message="environment has either an id or a file",
            broken=lambda self: unless((self.id is not None) != (self.file is not None), "id"),
            cel="has(self.id) != has(self.file)",
            cure="give `id: CartPole-v1`, or `file: FILE.py` with `class: NAME`",
        ),
        Rule(
            message="`class` names the environment of a file",
            broken=lambda self: unless((self.file is not None) == (self.class_name is not None), "class"),
            cel="has(self.file) == has(self.class)",
            cure="give `file: FILE.py` together with `class: NAME`",
        ),
        Rule(
            message="`files` and `baseline` belong to the environment of a file",
            broken=lambda self: [
                (field,)
                for field, given in (("files", self.files != ()), ("baseline", self.baseline is not None))
                if given and self.file is None
            ],
            cel="has(self.file) || (!has(self.files) && !has(self.baseline))",
            cure="remove it, or write the environment to a file",
        ),
    )


def own_files(environment: Environment | None) -> Iterator[tuple[str, str]]:
    """The files of an environment of the user's own: the field of each, and its path."""
    if environment is None:
        return
    if environment.file is not None:
        yield "file", environment.file
    for index, path in enumerate(environment.files):
        yield f"files[{index}]", path


_Width = Annotated[int, Field(ge=1, le=16_384)]


class Reinforcement(Part):
    """How an agent learns. What an algorithm does not have is ignored by it; what is not given is the algorithm's own
    default, listed in docs/models/reinforcement.md."""

    algorithm: Literal["auto", "ppo", "a2c", "dqn", "sac", "td3"] = "auto"
    """auto: ppo, and sac where actions are bounded numbers. Default: auto."""
    timesteps: Annotated[int, Field(ge=1, le=2**40)] = 100_000
    """Steps of the environments, all together. Default: 100,000."""
    environments: Annotated[int | None, Field(ge=1, le=1024)] = None
    """Environments that are stepped side by side in one process. Default: ppo, a2c 8; the others 1."""
    stop_at: Annotated[float | None, Field(ge=-1e15, le=1e15)] = None
    """Stop as soon as the mean return of the last 100 episodes reaches this. Default: all timesteps."""
    hidden: Annotated[tuple[_Width, ...] | None, Field(max_length=16), Lax] = None
    """Widths of the hidden layers of policy and value networks. Default: 64, 64; sac 256, 256; td3 400, 300."""
    activation: Literal["tanh", "relu"] | None = None
    """Activation function. Default: ppo, a2c tanh; the others relu."""
    normalize: bool | None = None
    """Standardize observations by their running mean and spread. Default: ppo, a2c true; the others false."""
    learning_rate: Annotated[float | None, Field(gt=0.0, le=100.0)] = None
    """Learning rate. Default: ppo, sac 0.0003; a2c 0.0007; dqn 0.0001; td3 0.001."""
    schedule: Literal["constant", "linear"] = "constant"
    """linear: the learning rate falls to 0. Default: constant."""
    discount: Annotated[float, Field(gt=0.0, le=1.0)] = 0.99
    """Worth of a reward one step later. Default: 0.99."""
    batch_size: Annotated[int | None, Field(ge=2, le=1_000_000)] = None
    """Steps of a batch. Default: ppo 64, dqn 32, sac, td3 256; a2c learns from a rollout at once."""
    rollout_steps: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """ppo, a2c: steps of each environment between updates. Default: ppo 256, a2c 5."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 10
    """ppo: passes over a rollout. Default: 10."""
    clip_range: Annotated[float, Field(gt=0.0, le=10.0)] = 0.2
    """ppo: how far an update may move a probability. Default: 0.2."""
    gae_lambda: Annotated[float | None, Field(ge=0.0, le=1.0)] = None
    """ppo, a2c: weight of later steps in an advantage. Default: ppo 0.95, a2c 1."""
    entropy: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0
    """ppo, a2c: worth of an undecided policy. Default: 0; sac finds its own."""
    buffer_size: Annotated[int, Field(ge=100, le=100_000_000)] = 100_000
    """dqn, sac, td3: latest steps that are learned from. Default: 100,000."""
    learning_starts: Annotated[int, Field(ge=0, le=2**31 - 1)] = 100
    """dqn, sac, td3: steps by chance before learning. Default: 100."""
    train_every: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """dqn, sac, td3: steps between updates. Default: dqn 4; sac, td3 1."""
    gradient_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """dqn, sac, td3: batches of an update. Default: 1."""
    target_every: Annotated[int, Field(ge=1, le=2**31 - 1)] = 10_000
    """dqn: steps after which the target network is replaced. Default: 10,000."""
    exploration: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """dqn: share of the timesteps in which actions by chance become rare. Default: 0.1."""
    least_exploration: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    """dqn: share of actions by chance afterwards. Default: 0.05."""
    action_noise: Annotated[float, Field(ge=0.0, le=10.0)] = 0.1
    """td3: deviation of the noise on actions while learning, of half their range. Default: 0.1."""


_ELSEWHERE = (
    "code", "epochs", "max_steps", "batch_size", "learning_rate", "layer_decay", "optimizer", "weight_decay",
    "momentum", "schedule", "warmup_steps", "label_smoothing", "class_weights", "gradient_clip", "accumulate",
    "early_stopping", "augment", "ema", "precision", "distributed",
)  # fmt: skip
_ACTS = f"self.task == '{TASK}'"
_RUN_ACTS = f"self.train.task == '{TASK}'"


_MODEL = tuple(name for name in ModelSpec.model_fields if name != "name")


TRAIN_RULES = (
    Rule(
        message=f"{TASK} needs train.environment, which other tasks do not have",
        broken=lambda train: unless((train.task == TASK) == (train.environment is not None), "environment"),
        cel=f"({_ACTS}) == has(self.environment)",
        cure=f"add `environment: {{id: CartPole-v1}}`, or set `task: {TASK}`",
    ),
    Rule(
        message=f"`reinforcement` is for {TASK}",
        broken=lambda train: unless(train.task == TASK or train.reinforcement is None, "reinforcement"),
        cel=f"{_ACTS} || !has(self.reinforcement)",
        cure="remove it",
    ),
    Rule(
        message="how an agent learns stands under train.reinforcement",
        broken=lambda train: [
            *((name,) for name in given(train, _ELSEWHERE) if train.task == TASK),
            *(("model", name) for name in given(train.model, _MODEL) if train.task == TASK),
        ],
        cel=(
            f"!({_ACTS}) || ({none_given_cel('self', _ELSEWHERE)}"
            f" && (!has(self.model) || ({none_given_cel('self.model', _MODEL)})))"
        ),
        cure="remove it; sizes, rates and timesteps of an agent are fields of train.reinforcement",
    ),
    Rule(
        message="an agent learns in one process on the CPU",
        broken=lambda train: [
            ("resources", to_camel(field))
            for field, least in (("nodes", 1), ("gpus_per_node", 0), ("processes_per_node", 1))
            if train.task == TASK and getattr(train.resources, field) > least
        ],
        cel=(
            f"!({_ACTS}) || !has(self.resources) || ((!has(self.resources.nodes) || self.resources.nodes == 1)"
            " && (!has(self.resources.gpusPerNode) || self.resources.gpusPerNode == 0)"
            " && (!has(self.resources.processesPerNode) || self.resources.processesPerNode == 1))"
        ),
        cure="remove it; reinforcement.environments says how many environments are stepped side by side",
    ),
)
"""Rules of TrainSpec."""


def _misplaced(spec: BaseModel, acts: bool) -> list[Path]:
    """What a task with an environment has no use for."""
    return [(name,) for name in ("prepare", "tune") if acts and name in spec.model_fields_set]


RUN_RULES = (
    Rule(
        message=f"data.sources are needed by every task but {TASK}, whose environment takes their place",
        broken=lambda spec: unless((spec.train.task == TASK) != bool(spec.data.sources), "data"),
        cel=f"({_RUN_ACTS}) != (has(self.data) && has(self.data.sources))",
        cure=f"add `data: {{sources: [{{path: FILE}}]}}`; of {TASK} remove `data`",
    ),
    Rule(
        message=f"{TASK} has neither prepare nor tune",
        broken=lambda spec: _misplaced(spec, spec.train.task == TASK),
        cel=f"!({_RUN_ACTS}) || (!has(self.prepare) && !has(self.tune))",
        cure="remove it",
    ),
    Rule(
        message=f"evaluate.episodes is for {TASK}, and slices are for the others",
        broken=lambda spec: [
            *unless(spec.train.task == TASK or spec.evaluate.episodes is None, "evaluate", "episodes"),
            *unless(spec.train.task != TASK or not spec.evaluate.slices, "evaluate", "slices"),
        ],
        cel=(
            "!has(self.evaluate)"
            f" || ({_RUN_ACTS} ? !has(self.evaluate.slices) || size(self.evaluate.slices) == 0"
            " : !has(self.evaluate.episodes))"
        ),
        cure="remove it",
    ),
)
"""Rules of TrainingRunSpec."""
