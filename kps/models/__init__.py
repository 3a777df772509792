"""Training and inference of both models: the only importer of torch, mmdet and mmpose."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):  # mmdet prints which of its optional data sets are absent
    import mmdet.datasets  # noqa: F401  (fills its registry)
    import mmpose.models  # noqa: F401  (likewise)
