"""Defences: each turns a classifier into a classifier, so that everything after it works on it unchanged."""
