"""What the audit of a chaos run compares, besides the simple truth of each user.

The logs are read whole (`logs`), folded again in this process in other batches (`refold`), and
what comes out is compared with what the workers made of them (`differences`, `examples`).
"""
