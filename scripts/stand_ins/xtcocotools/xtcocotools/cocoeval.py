"""pycocotools' evaluation with the two arguments more that mmpose passes."""

import numpy as np
from pycocotools import cocoeval


class COCOeval(cocoeval.COCOeval):
    """As its base, with the landmarks' sigmas given; areas are always those of the annotations."""

    def __init__(self, cocoGt=None, cocoDt=None, iouType="segm", sigmas=None, use_area=True):
        if not use_area:
            raise ValueError("use_area: expected True, since pycocotools takes the annotations' area")
        super().__init__(cocoGt, cocoDt, iouType)
        if sigmas is not None:
            self.params.kpt_oks_sigmas = np.array(sigmas)
