"""What a long run needs and no chapter teaches line by line."""
