"""Training and inference of both models: the only importer of torch, mmdet and mmpose."""
