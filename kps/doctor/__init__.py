"""The data doctor: what a raw DeepFashion2 folder holds, what is wrong with it, and whether it will do."""

from kps.doctor.diagnosis import Diagnosis
from kps.doctor.examination import diagnose
from kps.doctor.text import format_diagnosis
