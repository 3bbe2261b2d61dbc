"""What every room may lean on: errors, seeds, progress, memory, the version."""
