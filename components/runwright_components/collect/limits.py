"""What a source may make of this machine. Users who need more unpack their files themselves."""

from __future__ import annotations

MAX_EXPANDED = 1 << 38  # bytes that come out of one source's compressed files; a bomb ends here, or at the full disk
MAX_RATIO = 1000  # of what comes out to what the files have; gzip cannot do more, logs do 100
RATIO_FROM = 64 << 20  # bytes that may come out whatever the ratio
MAX_MEMBERS = 2_000_000  # of one archive
MAX_RECORD = 256 << 20  # bytes of one line, or of one record of CSV
