"""The built-in traffic signs: images drawn by rule, and the small network that was trained on them."""
