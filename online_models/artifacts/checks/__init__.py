"""What a bundle must be, question by question; each raises `BundleError` in words."""
