"""Metrics of the machine itself, by psutil, named and labelled as node_exporter and process-exporter name them."""
