"""How does a chat template word a conversation, and what may it cost?"""
