"""Data sets: the raw folder, COCO-294, their conversion, photos, and the check of every input."""
