"""Digital transforms, one function a file; what they say of themselves is in `specs`. Views and thresholds of them."""
