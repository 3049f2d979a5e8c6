"""What Mainstay costs and how fast it is, measured on the whole program: `python -m bench` (docs/benchmarks.md)."""
