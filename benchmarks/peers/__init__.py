"""What a careful engineer writes first, in three frameworks: the same naive fold into Redis."""
