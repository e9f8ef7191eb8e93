"""Draws MuJoCo's scenes without OpenGL: rays and closed forms, in NumPy."""

from .renderer import Software as Software
