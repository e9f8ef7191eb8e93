"""A report on trainings: one file that says what was trained, how well, and how to repeat it."""

from .contents import contents as contents
from .write import FORMATS as FORMATS
from .write import Written as Written
from .write import write_report as write_report
