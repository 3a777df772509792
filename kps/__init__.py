"""Clothes landmark detection on DeepFashion2 by aggregation and finetuning."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kps.predict import Garments

__version__ = "0.1.0"
__all__ = ["Garments", "__version__"]


def __getattr__(name: str) -> Any:
    """Import what needs numerical libraries when it is asked for, so that the command line starts at once."""
    if name != "Garments":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kps.predict import Garments

    return Garments
