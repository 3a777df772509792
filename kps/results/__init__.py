"""Results: boxes, predicted landmarks, their ensemble and the submission."""
