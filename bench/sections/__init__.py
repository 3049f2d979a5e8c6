"""One module per section: `run(quick)` measures and returns the lines of its table."""
