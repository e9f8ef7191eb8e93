"""Trainings side by side: their curves, their scores, and how sure one can be of what these say."""
