"""Imported once by the process that others are forked from: what is dear to import, and what the first model costs."""

from __future__ import annotations

import conftest  # noqa: F401
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

import bambino.cli.display
import bambino.evaluation.in_training
import bambino.training.pretrain  # noqa: F401

get_checkpoint_conversion_mapping("opt")  # a thousand regular expressions, compiled once in a process
