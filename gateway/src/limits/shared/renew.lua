-- Says that a node is there, and renews its leases; one that is gone because this server was is there again.
-- KEYS: the set of nodes, then one for each lease. ARGV: the node's name, the milliseconds of a node and of a lease, then
-- each lease's name. Answers how many nodes there are.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local node_ms, lease_ms = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + node_ms, ARGV[1])
redis.call('PEXPIRE', KEYS[1], node_ms)
for i = 2, #KEYS do
  redis.call('ZADD', KEYS[i], now + lease_ms, ARGV[i + 2])
  redis.call('PEXPIRE', KEYS[i], lease_ms)
end
return redis.call('ZCARD', KEYS[1])
