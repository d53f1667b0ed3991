"""Serving: rows in, predictions out. `predictor` needs no torch and no KServe; `server` is KServe's model server."""
