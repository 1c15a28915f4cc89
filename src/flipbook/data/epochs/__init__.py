"""Which conversations share a pass, a batch and an epoch?"""
