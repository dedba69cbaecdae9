-- Ends what was taken: gives places back, and puts right what was taken of minutes.
-- KEYS: one for each claim. ARGV for each: its kind (m, c), the lease's name or the slot, what was taken and what was used.
local time = redis.call('TIME')
local slot = math.floor((time[1] * 1000 + math.floor(time[2] / 1000)) / 500)
for i, key in ipairs(KEYS) do
  local kind, name = ARGV[4 * i - 3], ARGV[4 * i - 2]
  local more = tonumber(ARGV[4 * i]) - tonumber(ARGV[4 * i - 1])
  if kind == 'c' then
    redis.call('ZREM', key, name)
  elseif more < 0 then
    -- What no longer counts is not given back.
    local there = redis.call('HGET', key, name)
    if there then
      local back = math.min(tonumber(there), -more)
      redis.call('HINCRBY', key, name, -back)
      redis.call('HINCRBY', key, 'sum', -back)
    end
  elseif more > 0 then
    redis.call('HINCRBY', key, slot, more)
    redis.call('HINCRBY', key, 'sum', more)
    redis.call('HSETNX', key, 'from', slot)
    local last = tonumber(redis.call('HGET', key, 'last') or 0)
    redis.call('HSET', key, 'last', math.max(last, slot))
    redis.call('PEXPIRE', key, 61000)
  end
end
return 1
