"""The guard: a small process that starts all children of an engine, and ends with it.

It runs without the rest of dagrun, with the engine's socket as its standard input, and imports as
little as it can: its start-up stands before an engine's first node. So its parts import each other
by relative names, and it is started as a package of its own: ``keeper`` begins, ``requests`` is what
the guard does for the engine, ``descendants`` knows what it started, and ``system`` what to ask of
the operating system.

It is two processes: the keeper, which the engine started, only waits for the guard, which it
forked. Whichever of the two is killed, the other one kills every descendant. Both hold the engine's
socket, so that its end tells the engine that nothing is left.

Both directions carry frames: 4 bytes of length, little-endian, then fields joined by NUL, which
no argument, variable or path can hold. Requests::

    spawn      number  stdio  argc  cwd  PATH  argv…  NAME=value…    (with descriptors: SCM_RIGHTS)
    kill       number  signal
    terminate  number
    fence      time             (milliseconds of CLOCK_BOOTTIME; nothing for never)

``stdio`` holds a ``1`` for each of the three standard streams whose descriptor came along, and a
``0`` for each that becomes ``/dev/null``. What is left of a group when its leader ends is killed,
unless the group was told to terminate: then it lives until it is empty, or until ``kill`` is told
to kill it. At the time of the fence the guard ends, and kills all that it started, unless it was told
another time before: so an engine that hangs or is frozen does nothing for longer than it may. Replies::

    spawned  number  pid
    failed   number  errno
    exited   number  code                        (minus the signal, if one ended it)

The end of the engine's socket, whatever caused it, is the order to kill every descendant.
"""
