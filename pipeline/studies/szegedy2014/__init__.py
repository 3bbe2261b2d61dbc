"""Szegedy et al. (2014): which attacks on one network fool another."""
