"""Doors to other libraries under the names that some code knows them by."""
