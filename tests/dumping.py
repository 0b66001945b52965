"""Everything that a Redis holds, at one moment: to show that something wrote nothing."""

from __future__ import annotations

import json
from typing import Any

import redis

# Not DUMP: the bytes of a hash change while it is rehashed.
SCRIPT = """
local held = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local value
  if kind == 'hash' then
    value = {}
    local flat = redis.call('HGETALL', key)
    for at = 1, #flat, 2 do value[flat[at]] = flat[at + 1] end
  elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then
    value = redis.call('SMEMBERS', key)
    table.sort(value)
  elseif kind == 'stream' then value = redis.call('XRANGE', key, '-', '+')
  else value = redis.call('GET', key) end
  held[key] = value
end
return cjson.encode(held)
"""


def dumped(client: redis.Redis) -> dict[str, Any]:
    """Every key with what it holds; bytes are read as Latin-1, which takes them all."""
    found: dict[str, Any] = json.loads(client.eval(SCRIPT, 0).decode("latin-1"))
    return found
