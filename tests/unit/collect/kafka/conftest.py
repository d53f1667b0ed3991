import uuid
from collections.abc import Iterator

import pytest

from runwright_components.contract.config import KafkaConfig, ReachConfig
from tests.emulators.kafka import Kafka, kafka
from tests.machine import unable


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One real broker for all tests; each makes topics of its own."""
    try:
        with kafka(tmp_path_factory.mktemp("kafka")) as made:
            yield made
    except RuntimeError as error:
        unable(str(error))


class Topic:
    """A topic of one test, and a source that reads it."""

    def __init__(self, broker: Kafka, workplace, partitions: int) -> None:
        self.broker, self.workplace = broker, workplace
        self.name = f"topic-{uuid.uuid4().hex[:8]}"
        broker.make_topic(self.name, partitions)

    def put(self, *values, partition=0, **more):
        self.broker.put(self.name, [{"value": value, "partition": partition, **more} for value in values])

    def forget(self, before, partition=0):
        self.broker.forget(self.name, partition, before)

    def options(self, topic=None, bootstrap=None, timeout=20.0, reach=None, **fields):
        topic = topic or self.name
        config = KafkaConfig.model_validate({"bootstrap": bootstrap or self.broker.bootstrap, "topic": topic, **fields})
        return {"kafka": config, "timeout_seconds": timeout, "reach": reach or ReachConfig()}

    @property
    def uri(self):
        return f"kafka://{self.broker.bootstrap}/{self.name}"

    def collect(self, *, max_rows=None, **fields):
        more = {"csv": fields.pop("csv")} if "csv" in fields else {}
        manifest = self.workplace.collect(self.uri, max_rows=max_rows, **self.options(**fields), **more)
        return self.workplace.rows(manifest)

    def refusal(self, **fields):
        return self.workplace.refusal(self.uri, **self.options(**fields))

    def config(self, **fields):
        return self.workplace.config(self.uri, **self.options(**fields))

    @property
    def warnings(self):
        return [event.message for event in self.workplace.events if event.kind == "warning"]


@pytest.fixture
def topic(broker, workplace):
    return Topic(broker, workplace, 1)


@pytest.fixture
def wide_topic(broker, workplace):
    return Topic(broker, workplace, 3)
