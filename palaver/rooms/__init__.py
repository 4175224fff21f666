"""Multi-User Chat (XEP-0045): rooms, whoever is in them, and the service that has them.

A `room.Room` is stored state, in memory while somebody uses it; `service.Service` finds it and hands
stanzas over to `dispatch`. ``entering``, ``leaving``, ``messages``, ``talk``, ``admin``, ``owner``,
``registration``, ``archived`` and ``discovery`` answer one part of the protocol each. What happens in a room
happens in its `order.Order`, so that all occupants see the same.

Modules take part through `hooks.Hooks` and the events in `events`; they find the rooms of a host by
``host.query(IRooms)``.
"""
