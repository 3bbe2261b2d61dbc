"""What a classifier looks at: maps of the places that speak for a class, made without leaving a trace on the model."""

from pipeline.models.explaining.maps import Explained, How, explained, how_for
