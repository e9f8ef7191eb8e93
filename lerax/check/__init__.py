"""An environment held against its contract, and against what training needs beyond it."""

from .check import Finding as Finding
from .check import check_env as check_env
