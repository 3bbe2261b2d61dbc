"""The version of inkproof: the one place that states it."""

VERSION = "0.1.0"
