"""Ranges of topics of a real broker: what is read, in which order, what is refused, and that no trace is left."""

from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from runwright_components.collect import fingerprint
from runwright_components.contract.config import CsvOptions, ReachConfig
from runwright_components.contract.outcome import Reason
from tests.emulators.running import free_port

DAY = 86_400_000  # milliseconds
START = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def moment(milliseconds):
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()


def test_partitions_follow_each_other(wide_topic):
    wide_topic.put(b'{"n": 1, "x": "a"}', b'{"n": 2, "x": "b"}', partition=2)
    wide_topic.put(b'{"n": 3, "y": 1.5}', partition=0)
    assert wide_topic.collect() == [
        {"n": 3, "y": 1.5, "x": None},
        {"n": 1, "y": None, "x": "a"},
        {"n": 2, "y": None, "x": "b"},
    ]


def test_key_and_time_become_columns(topic):
    topic.put(b'{"n": 1}', key="caf\u00e9".encode(), timestamp=START)
    topic.put(b'{"n": 2}', timestamp=START + 1)
    assert topic.collect(key_column="id", timestamp_column="at") == [
        {"n": 1, "id": "caf\u00e9", "at": "2026-01-01T00:00:00.000Z"},
        {"n": 2, "id": None, "at": "2026-01-01T00:00:00.001Z"},
    ]


def test_rows_of_csv(topic):
    topic.put(b'1;"a;b";\n', "2;\u00e9;x".encode())
    rows = topic.collect(value_format="csv", columns=("n", "x", "y"), csv=CsvOptions(delimiter=";"))
    assert rows == [{"n": "1", "x": "a;b", "y": None}, {"n": "2", "x": "\u00e9", "y": "x"}]


def test_text(topic):
    topic.put(b"line 1\nline 2", "\u0633\u0644\u0627\u0645".encode())
    assert topic.collect(value_format="text") == [{"text": "line 1\nline 2"}, {"text": "\u0633\u0644\u0627\u0645"}]


def test_a_range_of_offsets(wide_topic):
    for partition in range(2):
        wide_topic.put(*(b'{"n": %d}' % (10 * partition + n) for n in range(5)), partition=partition)
    start = {"offsets": [{"partition": 0, "offset": 3}]}
    end = {"offsets": [{"partition": 1, "offset": 2}]}
    assert [row["n"] for row in wide_topic.collect(start=start, end=end)] == [3, 4, 10, 11]


def test_a_range_of_times(wide_topic):
    for partition in range(2):
        for day in range(4):
            wide_topic.put(b'{"day": %d}' % day, partition=partition, timestamp=START + day * DAY)
    start, end = {"time": moment(START + DAY)}, {"time": moment(START + 3 * DAY)}
    assert [row["day"] for row in wide_topic.collect(start=start, end=end)] == [1, 2, 1, 2]


def test_no_more_than_are_asked_for(topic):
    topic.put(*(b'{"n": %d}' % n for n in range(2000)))
    assert len(topic.collect(max_rows=7)) == 7


def test_many_records_in_their_order(topic):
    topic.put(*(b'{"n": %d}' % n for n in range(5000)))
    assert [row["n"] for row in topic.collect()] == list(range(5000))
    assert any(event.kind == "progress" and event.total == 5000 for event in topic.workplace.events)


def test_the_range_is_fixed_when_reading_begins(topic, monkeypatch):
    """What is written meanwhile is the next run's."""
    from runwright_components.collect.kafka import reading

    topic.put(b'{"n": 1}')
    fixed = reading._spans

    def and_more(*given):
        found = fixed(*given)
        topic.put(b'{"n": 2}')
        return found

    monkeypatch.setattr(reading, "_spans", and_more)
    assert topic.collect() == [{"n": 1}]


def test_the_fingerprint_follows_the_records(wide_topic):
    wide_topic.put(b'{"n": 1}')
    ended = {"end": {"offsets": [{"partition": number, "offset": int(number == 0)} for number in range(3)]}}
    first, closed = fingerprint(wide_topic.config()), fingerprint(wide_topic.config(**ended))
    assert fingerprint(wide_topic.config()) == first
    wide_topic.put(b'{"n": 2}', partition=1)
    assert fingerprint(wide_topic.config()) != first
    assert fingerprint(wide_topic.config(**ended)) == closed


def test_deletions_are_left_out_and_told(topic):
    topic.put(b'{"n": 1}', None, key="a")
    assert topic.collect() == [{"n": 1}]
    assert topic.warnings == ["source-0: 1 of 2 records have no value (deletions) and are left out"]


def test_transactions(topic):
    """Aborted records are no records, and the marks of transactions at the end of a range are waited for by nobody."""
    producer = Producer({"bootstrap.servers": topic.broker.bootstrap, "transactional.id": topic.name})
    producer.init_transactions(20)
    for value, finish in ((b'{"n": 1}', producer.commit_transaction), (b'{"n": 2}', producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic.name, value)
        producer.flush(10)
        finish(20)
    assert topic.collect() == [{"n": 1}]
    producer.begin_transaction()
    producer.produce(topic.name, b'{"n": 3}')
    producer.flush(10)
    topic.workplace.out = topic.workplace.out.with_name("again")
    assert topic.collect() == [{"n": 1}], "a transaction that is still open is the next run's"
    producer.abort_transaction(20)


def test_it_leaves_no_trace(topic):
    topic.put(b'{"n": 1}')
    topic.collect()
    groups = topic.broker.admin.list_consumer_groups().result().valid
    assert [group.group_id for group in groups if group.group_id == "runwright"] == []


# ---------------------------------------------------------------- what goes wrong


BROKEN = {
    b"{": "not JSON: Expecting property name",
    b"[1, 2]": "expected an object, found [1, 2]",
    b"\xff": "the value is not UTF-8",
    b'{"n": NaN}': "NaN is no JSON value",
    b'{"n": 1e999}': "Out of range float values",
    b'{"x": "\\ud800"}': "surrogates not allowed",
}


@pytest.mark.parametrize(("value", "words"), BROKEN.items())
def test_the_first_broken_record_is_told(topic, value, words):
    topic.put(b'{"n": 1}', value, b'{"n": 2}')
    error = topic.refusal()
    assert error.reason is Reason.DATA_INVALID
    assert error.message.startswith("partition 0, offset 1: ")
    assert words in error.message
    assert "kafka.maxBad" in error.cure


@pytest.mark.parametrize(
    ("value", "words"), [(b"1,2", "2 fields, not 1"), (b"\xff", "not UTF-8"), (b'"1', "not a row")]
)
def test_a_row_of_csv_that_is_none(topic, value, words):
    topic.put(value)
    assert words in topic.refusal(value_format="csv", columns=("n",)).message


def test_a_share_of_broken_records_is_left_out_and_counted(topic):
    topic.put(b'{"n": 1}', b"{", b'{"n": 2}', b"[]")
    assert topic.collect(max_bad=0.5) == [{"n": 1}, {"n": 2}]
    (told,) = topic.warnings
    assert told.startswith("source-0: 2 of 4 records are broken and left out; partition 0, offset 1: not JSON")
    topic.workplace.out = topic.workplace.out.parent.parent / "second" / "raw"
    error = topic.refusal(max_bad=0.25)
    assert error.message.startswith("2 of 4 records are broken; partition 0, offset 1")


def test_a_column_that_is_there_already(topic):
    topic.put(b'{"id": 1}', key="a")
    error = topic.refusal(key_column="id")
    assert (error.reason, error.message) == (Reason.INVALID_CONFIG, "the record has a field 'id' of its own")


def test_records_that_retention_removed(topic):
    topic.put(*(b'{"n": %d}' % n for n in range(6)))
    topic.forget(4)
    error = topic.refusal(start={"offsets": [{"partition": 0, "offset": 2}]})
    assert error.reason is Reason.DATA_UNREADABLE
    assert error.message == "partition 0 begins at offset 4 now: the records from 2 to 3 are gone"
    assert [row["n"] for row in topic.collect()] == [4, 5]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"end": {"offsets": [{"partition": 0, "offset": 9}]}}, "partition 0 ends at offset 1, and 9 lies beyond"),
        ({"start": {"offsets": [{"partition": 7, "offset": 0}]}}, "the topic has no partition 7"),
    ],
)
def test_a_range_that_is_not_there(topic, fields, words):
    topic.put(b'{"n": 1}')
    error = topic.refusal(**fields)
    assert (error.reason, error.message) == (Reason.INVALID_CONFIG, words)


def test_no_records(topic):
    assert topic.refusal().message == "the range holds no records"
    topic.put(None, key="a")
    assert topic.refusal().message == "the range holds no records with a value"


def test_no_topic(topic):
    error = topic.refusal(topic="nothing")
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert "nothing" not in topic.broker.admin.list_topics(timeout=10).topics, "asking must not make it"


def test_nobody_answers(topic):
    error = topic.refusal(bootstrap=f"127.0.0.1:{free_port()}", timeout=0.5)
    assert error.reason is Reason.SOURCE_UNAVAILABLE
    assert error.message.startswith("the brokers do not answer")


def test_user_and_password(topic, monkeypatch):
    topic.put(b'{"n": 1}')
    guarded = {"bootstrap": topic.broker.guarded, "sasl": "PLAIN"}
    assert "RUNWRIGHT_KAFKA_USERNAME_SOURCE_0 is not set" in topic.refusal(**guarded).message
    monkeypatch.setenv("RUNWRIGHT_KAFKA_USERNAME_SOURCE_0", topic.broker.user)
    monkeypatch.setenv("RUNWRIGHT_KAFKA_PASSWORD_SOURCE_0", "not-the-word")
    error = topic.refusal(**guarded, timeout=2.0)
    assert error.reason is Reason.SOURCE_DENIED
    assert "not-the-word" not in str(error)
    monkeypatch.setenv("RUNWRIGHT_KAFKA_PASSWORD_SOURCE_0", topic.broker.password)
    assert topic.collect(**guarded) == [{"n": 1}]


def test_what_a_pod_may_not_reach_is_not_asked(topic):
    topic.put(b'{"n": 1}')
    error = topic.refusal(reach=ReachConfig(private=False))
    assert (error.reason, error.message) == (
        Reason.SOURCE_DENIED,
        "127.0.0.1 is not a public address and is not asked for data",
    )
    local = topic.broker.bootstrap.replace("127.0.0.1", "localhost")
    error = topic.refusal(bootstrap=local, reach=ReachConfig(private=False, allowed=("localhost",)))
    assert error.reason is Reason.SOURCE_DENIED, "a broker may name another address than the one that was asked"
    allowed = ReachConfig(private=False, allowed=("127.0.0.0/8", "localhost"))
    assert topic.collect(bootstrap=local, reach=allowed) == [{"n": 1}]


@pytest.mark.parametrize("key", ["ca", "key"])
def test_a_certificate_that_is_none(topic, monkeypatch, key):
    monkeypatch.setenv(f"RUNWRIGHT_KAFKA_{key.upper()}_SOURCE_0", "so secret a word")
    error = topic.refusal(tls=True)
    assert error.reason is Reason.INVALID_CONFIG
    assert "the settings do not do" in error.message
    assert "so secret" not in str(error)


def test_tls(topic, monkeypatch):
    """By the authority that is given; another one is not believed."""
    topic.put(b'{"n": 1}')
    encrypted = {"bootstrap": topic.broker.encrypted, "tls": True}
    error = topic.refusal(**encrypted, timeout=2.0)
    assert (error.reason, error.message.partition(":")[0]) == (
        Reason.INVALID_CONFIG,
        "no connection over TLS comes about",
    )
    monkeypatch.setenv("RUNWRIGHT_KAFKA_CA_SOURCE_0", topic.broker.ca)
    assert topic.collect(**encrypted) == [{"n": 1}]


def test_tls_where_there_is_none(topic):
    error = topic.refusal(tls=True, timeout=1.0)
    assert error.reason in (Reason.INVALID_CONFIG, Reason.SOURCE_UNAVAILABLE)
