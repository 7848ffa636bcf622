"""Whether a server can be started at an address."""

from __future__ import annotations

import socket


def try_port(host: str, port: int) -> None:
    """Takes a port and frees it again; with host "" of all addresses, of IPv4 and IPv6.

    Raises:
        OSError: another program has it, or the address is not this machine's.
    """
    both = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
    socket.create_server((host, port), family=family, dualstack_ipv6=both).close()
