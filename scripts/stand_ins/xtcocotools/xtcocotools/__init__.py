"""pycocotools under the name that mmpose imports; `cocoeval` beside this file goes before."""

import pycocotools

__path__ += pycocotools.__path__
