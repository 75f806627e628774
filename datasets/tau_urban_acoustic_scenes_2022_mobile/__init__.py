"""TAU Urban Acoustic Scenes 2022 Mobile, development set."""
