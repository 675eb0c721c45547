"""Readable titles for a generated catalogue, so that a person can judge a feed by reading it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NOUNS: dict[str, tuple[str, ...]] = {
    "crime": ("Alibi", "Witness", "Verdict", "Informant", "Heist", "Docklands", "Safecracker",
              "Precinct", "Ransom", "Fingerprint", "Getaway", "Motive"),
    "science fiction": ("Orbit", "Android", "Nebula", "Starship", "Signal", "Colony", "Wormhole",
                        "Satellite", "Robot", "Asteroid", "Airlock", "Eclipse"),
    "romance": ("Letter", "Waltz", "Balcony", "Promise", "Serenade", "Honeymoon", "Rendezvous",
                "Valentine", "Bouquet", "Kiss", "Vow", "Summer Dress"),
    "comedy": ("Landlord", "Wedding Cake", "Parrot", "Mix-Up", "Roommate", "Lottery", "Barber",
               "Hiccup", "Vacation", "Mother-in-Law", "Pratfall", "Talent Show"),
    "horror": ("Cellar", "Scarecrow", "Crypt", "Lullaby", "Mirror", "Howl", "Manor", "Séance",
               "Shadow", "Doll", "Fog", "Graveyard"),
    "western": ("Saloon", "Stagecoach", "Sheriff", "Canyon", "Outlaw", "Mustang", "Prairie",
                "Gold Mine", "Rattlesnake", "Railroad", "Showdown", "Frontier"),
    "nature": ("Glacier", "Rainforest", "Migration", "Coral Reef", "Wolf Pack", "Savanna",
               "Volcano", "Beehive", "Tundra", "River Delta", "Falcon", "Mangrove"),
    "food": ("Bakery", "Vineyard", "Noodle Bar", "Recipe", "Street Market", "Sourdough", "Chef",
             "Olive Grove", "Spice Route", "Tea House", "Picnic", "Harvest"),
    "music": ("Encore", "Jazz Club", "Overture", "Violin", "Mixtape", "Drummer", "Ballad",
              "Opera House", "Garage Band", "Harmonica", "Vinyl", "Last Chord"),
    "sport": ("Marathon", "Overtime", "Penalty", "Peloton", "Rookie", "Home Run", "Regatta",
              "Underdog", "Slalom", "Title Fight", "Relay", "Away Game"),
}  # fmt: skip
ADJECTIVES = (
    "Quiet", "Broken", "Golden", "Endless", "Secret", "Crimson", "Forgotten", "Restless", "Velvet",
    "Hidden", "Burning", "Gentle", "Frozen", "Wandering", "Last", "Electric", "Honest", "Midnight",
    "Paper", "Reckless", "Silver", "Distant", "Stubborn", "Wild", "Lonely", "Borrowed", "Hollow",
    "Brave", "Salted", "Crooked",
)  # fmt: skip
MOODS = ("dark", "light", "slow", "true", "strange", "old", "young", "epic")
CATEGORIES = tuple(NOUNS)


def make_titles(categories: Sequence[int], rng: np.random.Generator) -> list[str]:
    """Return a title for each item, no two alike.

    Args:
        categories: (n,) index into `CATEGORIES` of each item.
        rng: draws the words.

    >>> make_titles([3, 3], np.random.default_rng(1))
    ['The Burning Mix-Up', 'The Forgotten Parrot']
    """
    per_category = len(ADJECTIVES) * len(NOUNS[CATEGORIES[0]])
    orders = [rng.permutation(per_category) for _ in CATEGORIES]
    used = [0] * len(CATEGORIES)
    titles = []
    for category in categories:
        sequel, index = divmod(used[category], per_category)
        used[category] += 1
        adjective, noun = divmod(int(orders[category][index]), per_category // len(ADJECTIVES))
        ending = f" {sequel + 1}" if sequel else ""
        titles.append(f"The {ADJECTIVES[adjective]} {NOUNS[CATEGORIES[category]][noun]}{ending}")
    return titles


def collection_name(category: int, collection: int) -> str:
    """Return the name of a collection.

    >>> collection_name(0, 0), collection_name(0, 8)
    ('dark crime', 'dark crime 2')
    """
    number, mood = divmod(collection, len(MOODS))
    ending = f" {number + 1}" if number else ""
    return f"{MOODS[mood]} {CATEGORIES[category]}{ending}"
