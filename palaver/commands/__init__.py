"""Operations as values: each is defined once, with typed arguments, for clients and the command line.

A `palaver.commands.command.Command` says its words on the command line, its ad-hoc node, who may run it,
a pydantic model of its arguments and the coroutine that does it. `palaver.commands.typed` turns models into
forms and back; modules add commands of their own with ``@command``.
"""
