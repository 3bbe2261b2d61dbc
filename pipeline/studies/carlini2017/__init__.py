"""Tables of attacks as in Carlini and Wagner (2017): success and distance for the best, the average and the worst target."""
