"""What a stack may be asked for: the keys, their values, where they are written, and who overrules whom."""
