"""The HTTP API: from the wire's requests to jobs and back. Never imports torch."""
