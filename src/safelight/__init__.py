"""Safelight: a self-hosted Model API for image generation."""

__version__ = "0.1.0"
