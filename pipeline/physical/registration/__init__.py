"""From a photograph to its pages and crops, what they are worth, and pictures of what was found."""
