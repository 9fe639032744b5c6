"""Real senders, and the world that they see: DNS, a proxy and HTTPS, all on loopback and without root."""
