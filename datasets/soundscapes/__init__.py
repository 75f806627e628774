"""Soundscapes: embedded scenes and events, synthesised from a seed."""
