"""Where the values of secrets come from."""

from typing import Final, Protocol

VARIABLE_PREFIX: Final = "DAGRUN_SECRET_"
"""How the variables of an engine's environment begin that documents may read as secrets."""


class SecretProvider(Protocol):
    """Looks secrets up. One object serves all nodes of an engine at once.

    If it has ``__aenter__`` and ``__aexit__``, the engine enters it before the first secret and
    leaves it after the last. Its factory is given the settings that a class attribute
    ``settings`` names, as keyword arguments.

    With a class attribute ``early`` that is true, ``dagrun run`` asks for all secrets of a document
    also before it starts the run, and refuses it if one cannot be had. Then asking must be quick,
    and leave no trace elsewhere.
    """

    async def get(self, reference: str) -> str:
        """Give the value of a secret as it is now. Called for each attempt that needs it.

        Args:
            reference: what a document says behind ``provider:``. It is not to be trusted.

        Raises:
            SecretError: there is no such secret, or it cannot be had. The message is journaled,
                so it must not hold the value.
        """
        ...
