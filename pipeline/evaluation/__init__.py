"""What was right, under which condition, and how sure that is: counting, comparisons, flags, judges."""
