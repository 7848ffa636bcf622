"""From pictures to bodies: who is in them, the network, and the files that come out."""
