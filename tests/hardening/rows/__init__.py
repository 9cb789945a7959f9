"""The rows, by what they attack."""

from rows import crowd, flow, lifecycle, machine, network, noise, web  # noqa: F401
