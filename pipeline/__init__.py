"""inkproof: does an adversarial attack survive ink, paper and a camera?"""
