"""What listens: connections of clients that are bounded, slow or hostile; threads that serve them in fair turns."""
