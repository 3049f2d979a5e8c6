"""The Prometheus HTTP API over any source of samples, as Grafana and promtool ask it. No Django."""
