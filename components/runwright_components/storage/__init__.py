"""Access to files elsewhere: HTTP(S) and object storage (S3, Google, Azure). I/O only; nothing here knows a stage."""
