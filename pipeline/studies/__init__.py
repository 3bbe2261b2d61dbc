"""The papers: each folder holds one paper's published figures, findings and tables."""
