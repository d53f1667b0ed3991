"""SQL databases as sources: rows in batches into Parquet files of the scratch folder.

`statements` is pure; each dialect's module opens a `Database` that can only read; `reading` moves the rows.
"""
