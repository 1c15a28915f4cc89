"""What is a checkpoint, byte by byte: written whole, told from others, read without pickle."""
