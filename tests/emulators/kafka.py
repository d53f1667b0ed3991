"""Apache Kafka, one real broker, from its Maven artifacts; kept by version outside of the clone.

python -m tests.emulators.kafka     install it when it is absent, print where it lies
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from cryptography.hazmat.primitives import serialization

from tests.cluster.tier.binaries import cache
from tests.cluster.tier.certificates import Authority, Pair
from tests.emulators.running import free_port, running

VERSION = "4.1.1"
SHA256 = "e89428126cc7630a802123ba27aac4442816840b66d60670226feaff65f24fd1"  # of kafka_2.13's jar
NEEDED = "Java 17 and Maven are needed for Kafka; install default-jre-headless and maven from your distribution"
USER, PASSWORD = "reader", "so-secret-a-word"
CLUSTER = "cnVud3JpZ2h0LXRlc3RzLQ"  # 16 bytes in base64, as Kafka names clusters
SMALL = ("-Xmx192m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.runwright</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={open},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={open}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,CONTROLLER:PLAINTEXT
listener.name.ssl.ssl.keystore.type=PEM
listener.name.ssl.ssl.keystore.certificate.chain={certificate}
listener.name.ssl.ssl.keystore.key={key}
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
num.network.threads=1
num.io.threads=2
background.threads=1
log.cleaner.enable=false
"""


@dataclass(frozen=True)
class Kafka:
    """One that runs: a listener for everybody, one that asks for the password, one with TLS."""

    bootstrap: str
    guarded: str
    encrypted: str
    ca: str
    """The authority that signed the certificate, PEM."""
    admin: AdminClient
    user: str = USER
    password: str = PASSWORD

    def make_topic(self, name: str, partitions: int = 1, **settings: str) -> None:
        config = {key.replace("_", "."): value for key, value in settings.items()}
        self.admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(10)

    def put(self, topic: str, records: Sequence[dict[str, Any]]) -> None:
        """Records as the arguments of a producer: value, key, partition, timestamp."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 0})
        for record in records:
            producer.produce(topic, **record)
        assert producer.flush(10) == 0

    def forget(self, topic: str, partition: int, before: int) -> None:
        """Remove the records before an offset, as retention does."""
        place = TopicPartition(topic, partition, before)
        self.admin.delete_records([place])[place].result(10)


def installed() -> Path:
    """A folder with `lib` (Kafka's jars) and `formatted` (the data of a new broker). Raises RuntimeError when it cannot
    be had."""
    target = cache() / f"kafka-{VERSION}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.with_name(f".{target.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                _install(target)
    if shutil.which("java") is None:
        raise RuntimeError(NEEDED)
    return target


def _install(target: Path) -> None:
    if shutil.which("mvn") is None or shutil.which("java") is None:
        raise RuntimeError(NEEDED)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder, "kafka")
        part.mkdir()
        pom = Path(folder, "pom.xml")
        pom.write_text(POM)
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={part / 'lib'}")
        _call("mvn", "-q", "-B", "-f", str(pom), *goal)
        found = hashlib.sha256((part / f"lib/kafka_2.13-{VERSION}.jar").read_bytes()).hexdigest()
        if found != SHA256:
            raise RuntimeError(f"kafka_2.13-{VERSION}.jar is {found}, not {SHA256}")
        properties = Path(folder, "server.properties")
        properties.write_text(_properties(part / "formatted", Authority("tests").issue("kafka")))
        _call(*_java(part), "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(properties))
        part.rename(target)


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {(done.stdout + done.stderr)[-2000:]}")


def _java(home: Path) -> list[str]:
    return ["java", *SMALL, QUIET, "-cp", f"{home / 'lib'}/*"]


def _properties(data: Path, pair: Pair, plain: int = 9092, sasl: int = 9093, tls: int = 9094) -> str:
    ports = {"PLAINTEXT": plain, "SASL_PLAINTEXT": sasl, "SSL": tls}
    return PROPERTIES.format(
        open=",".join(f"{protocol}://127.0.0.1:{port}" for protocol, port in ports.items()),
        controller=free_port(),
        certificate=_one_line(pair.certificate),
        key=_one_line(_in_pkcs8(pair.key)),
        data=data,
        user=USER,
        password=PASSWORD,
    )


def _one_line(pem: bytes) -> str:
    return pem.decode().replace("\n", "\\n")


def _in_pkcs8(key: bytes) -> bytes:
    """Kafka takes no other form."""
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return serialization.load_pem_private_key(key, None).private_bytes(*form)


@contextmanager
def kafka(folder: Path) -> Iterator[Kafka]:
    """A broker without topics; `folder` takes its data and log. Raises RuntimeError when it cannot be had."""
    home = installed()
    shutil.copytree(home / "formatted", folder / "data")
    authority = Authority("tests")
    ports = free_port(), free_port(), free_port()
    properties = folder / "server.properties"
    properties.write_text(_properties(folder / "data", authority.issue("kafka", hosts=["127.0.0.1"]), *ports))
    with running([*_java(home), "kafka.Kafka", str(properties)], ports[0], folder / "kafka.log"):
        plain, sasl, tls = (f"127.0.0.1:{port}" for port in ports)
        admin = AdminClient({"bootstrap.servers": plain, "log_level": 0})
        yield Kafka(plain, sasl, tls, authority.pair.certificate.decode(), admin)


if __name__ == "__main__":
    print(installed())
