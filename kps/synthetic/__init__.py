"""The built-in procedural data set: photos of parametric garments in the raw DeepFashion2 layout."""

from kps.synthetic.dataset import write_dataset
from kps.synthetic.parts import part_names
from kps.synthetic.photo import render_photo
from kps.synthetic.plan import PhotoPlan, category_counts, plan_split
