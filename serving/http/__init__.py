"""HTTP and WebSocket: thin shells around the funnel. Every error is problem+json (RFC 9457)."""
