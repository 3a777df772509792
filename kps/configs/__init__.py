"""Configurations of the detector and the landmark model: functions of a few parameters, nothing else."""

from kps.configs.base import SIZES
from kps.configs.detector import ARCHITECTURES, detector_config

__all__ = ["ARCHITECTURES", "SIZES", "detector_config"]
