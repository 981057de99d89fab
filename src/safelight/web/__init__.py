"""The pages: catalogue, playground, documentation, profile and operator's views, rendered on the server."""
