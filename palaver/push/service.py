"""How a notification can fail on its way to a device."""

from __future__ import annotations


class PushFailed(Exception):
    """The notification did not get through; the text says why. Another one may."""


class DeviceGone(Exception):
    """Nothing will ever reach the device under this name again."""
