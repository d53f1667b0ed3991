"""Kafka topics: a range of records, as lines of JSON on this machine."""
