"""DESED: sound events of homes."""
