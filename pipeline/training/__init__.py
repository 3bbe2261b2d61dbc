"""Training of what ships inside the package, from a seed; not needed to run an experiment."""
