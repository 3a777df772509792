"""Training and inference of both models: the only importer of torch, mmdet and mmpose."""

import contextlib
import io
import os
import warnings

from kps.models.ops import keep_memory, provide_ops

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else its import asks the network for a newer version
provide_ops()  # before the first import of mmcv.ops
keep_memory()

# A library that albumentations asks for wants widgets of notebooks for its progress, which nobody needs here.
warnings.filterwarnings("ignore", "IProgress not found")
warnings.filterwarnings("ignore", ".* is not pixel-level transformations")  # those that are used move no landmark
with contextlib.redirect_stdout(io.StringIO()):  # mmdet prints which of its optional data sets are absent
    import mmdet.datasets  # noqa: F401  (fills its registry)
    import mmpose.models  # noqa: F401  (likewise)
# mmdet misses an optional package where its metrics are first looked up, in the middle of a training.
warnings.filterwarnings("ignore", "faster_coco_eval is not installed")
