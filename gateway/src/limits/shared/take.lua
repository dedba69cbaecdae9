-- Takes all claims or none, in one step that nobody else comes between.
-- KEYS: one for each claim. ARGV: the lease's name, its milliseconds, and for each claim its kind (m: a minute, c: calls at
-- once), the limit and the amount. Answers 1 or 0, the slot, and for each claim what remains, milliseconds until all of
-- it is there again, and milliseconds to wait (-1 where it is granted).
-- A minute is a hash of slots of half a second, with its sum, its oldest slot that may be there and its newest.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local slot = math.floor(now / 500)
local lease, lease_ms = ARGV[1], tonumber(ARGV[2])
local granted, answer, sums, lasts = 1, {}, {}, {}

-- Forgets what is over; gives the sum and the newest slot.
local function flow(key)
  local head = redis.call('HMGET', key, 'sum', 'from', 'last')
  if not head[1] then return 0, slot end
  local sum, from, last = tonumber(head[1]), tonumber(head[2]), tonumber(head[3])
  local over = slot - 121
  if last <= over then
    redis.call('DEL', key)
    return 0, slot
  end
  if from <= over then
    local names = {}
    for at = from, over do names[#names + 1] = tostring(at) end
    for _, amount in ipairs(redis.call('HMGET', key, unpack(names))) do
      if amount then sum = sum - tonumber(amount) end
    end
    redis.call('HDEL', key, unpack(names))
    redis.call('HSET', key, 'sum', sum, 'from', over + 1)
  end
  return sum, last
end

-- How long until the sum has fallen to what is allowed.
local function wait(key, sum, allowed)
  local slots, all = {}, redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local at = tonumber(all[i])
    if at then slots[#slots + 1] = { at, tonumber(all[i + 1]) } end
  end
  table.sort(slots, function(a, b) return a[1] < b[1] end)
  for _, one in ipairs(slots) do
    sum = sum - one[2]
    if sum <= allowed then return (one[1] + 121) * 500 - now end
  end
  return 60500
end

for i, key in ipairs(KEYS) do
  local kind, limit, amount = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local waits = -1
  if kind == 'c' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    sums[i] = redis.call('ZCARD', key)
    if amount > 0 and sums[i] + amount > limit then waits = 0 end
  else
    sums[i], lasts[i] = flow(key)
    if amount > 0 and sums[i] + amount > limit then waits = wait(key, sums[i], limit - amount) end
  end
  if waits >= 0 then granted = 0 end
  answer[3 * i + 2] = waits
end

for i, key in ipairs(KEYS) do
  local kind, limit, amount = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  if granted == 1 and amount > 0 then
    sums[i] = sums[i] + amount
    if kind == 'c' then
      redis.call('ZADD', key, now + lease_ms, lease)
      redis.call('PEXPIRE', key, lease_ms)
    else
      redis.call('HINCRBY', key, slot, amount)
      redis.call('HSETNX', key, 'from', slot)
      lasts[i] = math.max(lasts[i], slot)
      redis.call('HSET', key, 'sum', sums[i], 'last', lasts[i])
      redis.call('PEXPIRE', key, 61000)
    end
  end
  answer[3 * i] = math.max(0, limit - sums[i])
  answer[3 * i + 1] = (kind == 'c' or sums[i] == 0) and 0 or (lasts[i] + 121) * 500 - now
end
answer[1], answer[2] = granted, slot
return answer
