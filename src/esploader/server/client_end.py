"""What a client is to its port."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esploader.server.peers import Peer
    from esploader.transport.turns import Parting


class ClientEnd(abc.ABC):
    """What a client is to its port."""

    @property
    @abc.abstractmethod
    def address(self) -> str:
        """Where it comes from."""

    @property
    @abc.abstractmethod
    def peer(self) -> Peer:
        """What it speaks."""

    @property
    def who(self) -> str | None:
        """Who it says it is; ``None`` where it does not."""
        ask = self.peer.ask
        return None if ask is None else ask.who or None

    @property
    def name(self) -> str:
        """What other clients are told of it."""
        return self.address if self.who is None else f"{self.address} ({self.who})"

    @property
    def gives_way(self) -> bool:
        """It lends the port to whoever wants it."""
        ask = self.peer.ask
        return ask is not None and ask.gives_way

    @abc.abstractmethod
    def flush(self) -> None:
        """Hand over what the peer has to say, as much as is taken at once."""

    @abc.abstractmethod
    def set_reading(self, wanted: bool) -> None:  # noqa: FBT001 - it is what the name says
        """Listen to the client, or do not for a while."""

    @abc.abstractmethod
    def hang_up(self) -> None:
        """Say good-bye: the port is no longer its."""

    def part(self, parting: Parting) -> None:
        """Say why the port is no longer its, and good-bye."""
        self.peer.part(parting)
        self.flush()
        self.hang_up()

    def dismiss(self, parting: Parting | None) -> None:
        """Say good-bye, and why the port is no longer its where there is anything to say."""
        if parting is None:
            self.hang_up()
        else:
            self.part(parting)

    # To those alone that have asked for their turn:

    def offer(self) -> None:  # noqa: B027 - most do not ask
        """Say that the port is its."""

    def listen(self) -> None:  # noqa: B027 - the same
        """Pass on what the port says, and nothing to it: somebody else has it."""

    def say_holder(self, holder: str) -> None:  # noqa: B027 - the same
        """Say who has the port to which it listens."""

    def say_place(self, place: int, holder: str) -> None:  # noqa: B027 - the same
        """Say which place in line it has."""
