"""The rows, by what they attack."""

from rows import crowd, flow, lifecycle, machine, network, noise, tls, web  # noqa: F401
