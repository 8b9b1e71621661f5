"""Types of the policy.  From Python 3.16 on there is none."""
import asyncio

__all__ = ("EventLoopPolicy", "install")

class EventLoopPolicy(asyncio.DefaultEventLoopPolicy): ...

def install(*, streams: bool = False) -> None: ...
