"""Which tokens does the model read of a conversation, and which of them does it learn?"""
