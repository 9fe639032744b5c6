"""What the RFC forbids, what real senders refuse or misinterpret, and advice."""
