"""Where is what the vision tower saw kept?"""
