"""What a run found, for a reader: the sections of its report and all that stands in them, from plain records."""
