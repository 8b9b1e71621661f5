"""Every test here runs twice: on asyncio's own loop and on kevent's."""
