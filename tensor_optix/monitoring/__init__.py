"""Detectors: fed one score at a time, they answer one question each.

They know scores and their noise, and nothing else: no agent, no environment, no champion, no file.
"""

from tensor_optix.monitoring.degradation_detector import DegradationDetector
from tensor_optix.monitoring.plateau_detector import PlateauDetector
from tensor_optix.monitoring.trend import Trend

__all__ = ["DegradationDetector", "PlateauDetector", "Trend"]
