"""Tables of Apache Iceberg, in a folder or in object storage."""
