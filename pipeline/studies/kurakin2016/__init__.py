"""Kurakin, Goodfellow and Bengio (2016): adversarial examples in the physical world."""
