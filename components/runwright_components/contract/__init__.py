"""What stages and pipelines agree on: configurations, artifacts, outcomes, progress. The only place that knows
argument names, file names and exit codes; light to import (pydantic and the standard library)."""
