"""The data doctor: what a raw DeepFashion2 folder holds, what is wrong with it, and whether it will do."""
