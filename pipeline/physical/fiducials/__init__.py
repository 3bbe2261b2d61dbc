"""The codes and tags at the corners of a page: what they say, how they are drawn, how they are found in a photograph."""
