"""Training and inference of both models: the only importer of torch, mmdet and mmpose."""

import contextlib
import io

from kps.models.ops import provide_ops

provide_ops()  # before the first import of mmcv.ops

with contextlib.redirect_stdout(io.StringIO()):  # mmdet prints which of its optional data sets are absent
    import mmdet.datasets  # noqa: F401  (fills its registry)
    import mmpose.models  # noqa: F401  (likewise)
