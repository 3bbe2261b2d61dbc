"""Attacks of other libraries by name, such as `foolbox:LinfPGD` or `art:DeepFool`: same records, same 8-bit judgement."""
