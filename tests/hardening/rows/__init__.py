"""The rows, by what they attack."""

from rows import (  # noqa: F401
    claims, clients, crowd, flow, lifecycle, machine, network, noise, rooms, tls, web,
)
