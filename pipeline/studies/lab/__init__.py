"""Studies that measure for themselves: parts, each a measurement that is kept and what it says, made into one document."""
