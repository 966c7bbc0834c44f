"""``override`` for what every command imports.

To import typing_extensions takes as long as all the errors, and a type checker alone needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

__all__ = ["override"]

if TYPE_CHECKING:
    from typing_extensions import override
else:
    Method = TypeVar("Method")

    def override(method: Method) -> Method:
        """Mark a method that takes the place of another one."""
        return method
