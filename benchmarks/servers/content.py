"""What the demo application serves, for the server and for who checks it."""
from __future__ import annotations

import json
import random

JSON = {"loop": "any", "answer": 42, "items": [1, 2, 3], "name": "kevent"}
JSON_BODY = json.dumps(JSON).encode()

# Bytes that repeat nowhere, so that a piece out of place is seen.
_random = random.Random(2006)
LARGE_BODY = _random.randbytes(100 * 1024)
STREAM_CHUNKS = [_random.randbytes(1024) for _ in range(16)]
STREAM_BODY = b"".join(STREAM_CHUNKS)
POST_BYTES = 4096
WEBSOCKET_BYTES = 256
