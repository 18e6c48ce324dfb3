"""Vocabulary and services that every other room uses; imports nothing else of the package."""
