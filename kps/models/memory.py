"""The order of tensors in memory that is fast and safe where a model runs."""

from __future__ import annotations

import torch


def memory_format() -> torch.memory_format:
    """Return channels innermost on a GPU or a single CPU thread, where it is faster; else the usual order.

    With several CPU threads, torch 2.11 frees memory twice in the backward pass of the detector in that order
    ("double free or corruption"); tests/test_models_detector.py trains with several threads on purpose.
    """
    if torch.cuda.is_available() or torch.get_num_threads() == 1:
        return torch.channels_last
    return torch.contiguous_format
