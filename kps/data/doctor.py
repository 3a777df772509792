"""Is a raw DeepFashion2 folder whole and sound? `kps doctor`."""

from kps.data.diagnosis import Diagnosis
from kps.data.examination import diagnose
from kps.data.text import format_diagnosis

__all__ = ["Diagnosis", "diagnose", "format_diagnosis"]
