//! Names and paths within a volume, and the keys they are stored under.
