"""Access to files elsewhere: HTTP(S) and S3-compatible object storage. I/O only; nothing here knows a stage."""
