"""Bodies over time: who is who, smooth motion, feet that stand, and its files."""
