"""A dataset's documents: card, Croissant, datasheet, collection log; all from facts, what nobody said is listed."""
