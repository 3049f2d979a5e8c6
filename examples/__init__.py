"""Programs to try Mainstay on: a small shop to watch and a receiver for its pages."""
