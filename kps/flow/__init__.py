"""The batch engine: one notebook as a step, a profile as a list of steps, Snakemake to order them."""
