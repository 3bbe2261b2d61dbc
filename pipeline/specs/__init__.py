"""What attacks and digital transforms say of themselves: the registries that every other room may ask."""
