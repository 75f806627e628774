"""The class lists of the two tasks, in the order of the networks' outputs."""

#: DCASE Task 1 (TAU Urban Acoustic Scenes 2022 Mobile).
SCENES = (
    "airport",
    "bus",
    "metro",
    "metro_station",
    "park",
    "public_square",
    "shopping_mall",
    "street_pedestrian",
    "street_traffic",
    "tram",
)

#: DCASE Task 4 (DESED).
EVENTS = (
    "Alarm_bell_ringing",
    "Blender",
    "Cat",
    "Dishes",
    "Dog",
    "Electric_shaver_toothbrush",
    "Frying",
    "Running_water",
    "Speech",
    "Vacuum_cleaner",
)
