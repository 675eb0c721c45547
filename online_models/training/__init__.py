"""From a log or the stream to a bundle; no other package that serves or streams imports torch."""
