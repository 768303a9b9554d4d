"""Two models side by side, in the product's own terms: which poses, numbers and findings would differ."""
