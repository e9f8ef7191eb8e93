"""Sweeps: many trainings that differ in some settings, shared among workers through a file of Optuna's."""
