"""Tuned settings, one TOML file per environment: a table per algorithm, with `steps` and `score` in it."""
