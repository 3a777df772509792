"""The names that mmdet imports of imgaug; using one raises a line."""

import sys
from types import ModuleType
from typing import Any


class _Absent(ModuleType):
    __path__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def absent(*_: Any, **__: Any) -> None:
            raise ImportError(f"{self.__name__}.{name} is not here: pip install --force-reinstall imaug==0.4.3")

        return absent


for _name in ("augmenters", "augmentables", "augmentables.lines", "augmentables.segmaps"):
    _full = f"{__name__}.{_name}"
    sys.modules[_full] = _Absent(_full)
augmenters = sys.modules[f"{__name__}.augmenters"]
