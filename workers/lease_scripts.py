"""The scripts behind `workers.leases`, in Redis's Lua: each of them one step that nobody divides.

Each can be run twice without harm: a command whose answer is lost is sent again. The job's hash
has, beside the record: stage, steps, done (of this stage), leased (of all), base (attempts are
counted from it), last (the attempt that completed the stage before), cancel, verdict, ended. A
stage's hash has for its step i: t:i (last attempt), w:i (its worker), f:i (faults), o:i (outages),
l:i (the last attempt that was silent for too long), g:i (how often such a one was forgiven),
d:i (the attempt that completed it), u:i (its progress).
"""

NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# Whether the step of ARGV is this attempt's and this worker's: not the number alone, for a Redis
# that lost its last second may have given it twice.
HELD = """
local function held(step)
    local last = redis.call('HMGET', KEYS[2], 't:' .. step[1], 'w:' .. step[1])
    return last[1] == step[2] and last[2] == step[4] and redis.call('ZSCORE', KEYS[3], step[3])
end
"""

# KEYS: job, stage's steps, leases. ARGV: index, attempt, place, worker, stage, lease in ms.
CLAIM = (
    NOW
    + """
local job = redis.call('HMGET', KEYS[1], 'stage', 'steps', 'base', 'cancel')
if not job[1] or redis.call('HEXISTS', KEYS[1], 'verdict') == 1
    or redis.call('HEXISTS', KEYS[1], 'ended') == 1 then return 'ended' end
if job[4] then return 'cancelled' end
if job[1] ~= ARGV[5] or tonumber(ARGV[1]) >= tonumber(job[2]) then return 'over' end
local i, attempt = ARGV[1], tonumber(ARGV[2])
local step = redis.call('HMGET', KEYS[2], 't:' .. i, 'w:' .. i, 'd:' .. i)
if step[3] then return 'over' end
local last = tonumber(step[1] or job[3])
if redis.call('ZSCORE', KEYS[3], ARGV[3]) then
    if last == attempt and step[2] == ARGV[4] then return 'claimed' end
    return 'held'
end
if attempt <= last then return 'stale' end
redis.call('HSET', KEYS[2], 't:' .. i, attempt, 'w:' .. i, ARGV[4])
redis.call('ZADD', KEYS[3], now + ARGV[6], ARGV[3])
redis.call('HINCRBY', KEYS[1], 'leased', 1)
return 'claimed'
"""
)

# KEYS: job, stage's steps, leases. ARGV: index, attempt, place, worker, lease in ms.
RENEW = (
    NOW
    + HELD
    + """
if not held(ARGV) then return 0 end
redis.call('ZADD', KEYS[3], now + ARGV[5], ARGV[3])
return 1 + redis.call('HEXISTS', KEYS[1], 'cancel')
"""
)

# KEYS: job, stage's steps, leases. ARGV: index, attempt, place, worker, done, total, phase.
# Sums over the stage: a step that ended without a word counts as one of the largest.
PROGRESS = (
    NOW
    + HELD
    + """
if not held(ARGV) then return false end
local i, done, total = ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6])
local before = redis.call('HGET', KEYS[2], 'u:' .. i)
local old_done, old_total = 0, 0
if before then
    old_done, old_total = before:match('(%d+)/(%d+)')
else
    redis.call('HINCRBY', KEYS[2], 'told', 1)
end
redis.call('HSET', KEYS[2], 'u:' .. i, ARGV[5] .. '/' .. ARGV[6])
done = redis.call('HINCRBY', KEYS[2], 'sum_done', done - old_done)
local sum = redis.call('HINCRBY', KEYS[2], 'sum_total', total - old_total)
local stage = redis.call('HMGET', KEYS[2], 'largest', 'told', 'silent', 'phase', 'since', 'from')
local largest = math.max(tonumber(stage[1] or 0), total)
local steps = tonumber(redis.call('HGET', KEYS[1], 'steps'))
done = done + tonumber(stage[3] or 0) * largest
sum = sum + (steps - tonumber(stage[2])) * largest
local since, from = tonumber(stage[5] or now), tonumber(stage[6] or done)
if stage[4] ~= ARGV[7] or done < from then since, from = now, done end
redis.call('HSET', KEYS[2], 'largest', largest, 'phase', ARGV[7], 'since', since, 'from', from)
return {done, sum, from, now - since}
"""
)

# KEYS: job, stage's steps, leases. ARGV: index, attempt, place, worker, stage, steps of the next.
COMPLETE = (
    HELD
    + """
local i, mark = ARGV[1], ARGV[3] .. '/' .. ARGV[2] .. '/' .. ARGV[4]
if redis.call('HGET', KEYS[1], 'last') == mark then return 2 end
if redis.call('HGET', KEYS[2], 'd:' .. i) == mark then return 1 end
if redis.call('HGET', KEYS[1], 'stage') ~= ARGV[5] or not held(ARGV) then return 0 end
redis.call('ZREM', KEYS[3], ARGV[3])
redis.call('HINCRBY', KEYS[1], 'leased', -1)
redis.call('HSET', KEYS[2], 'd:' .. i, mark)
local progress = redis.call('HGET', KEYS[2], 'u:' .. i)
if progress then
    local told, total = progress:match('(%d+)/(%d+)')
    redis.call('HINCRBY', KEYS[2], 'sum_done', total - told)
else redis.call('HINCRBY', KEYS[2], 'silent', 1) end
local done = redis.call('HINCRBY', KEYS[1], 'done', 1)
if done < tonumber(redis.call('HGET', KEYS[1], 'steps')) then return 1 end
redis.call('HSET', KEYS[1], 'stage', ARGV[5] + 1, 'steps', ARGV[6], 'done', 0, 'last', mark)
redis.call('DEL', KEYS[2])
return 2
"""
)

# KEYS: job, stage's steps, leases. ARGV: index, attempt (or "" to take an expired lease), place,
# worker, faults to add, outages to add. Gives the last attempt, the step's faults, its outages, and
# the leases that the job still has; the second time nothing, and the step is found by whoever looks
# for open ones.
TAKE_BACK = (
    NOW
    + HELD
    + """
local i, expires = ARGV[1], redis.call('ZSCORE', KEYS[3], ARGV[3])
if not expires then return false end
if ARGV[2] ~= '' and not held(ARGV) then return false end
if ARGV[2] == '' and tonumber(expires) > now then return false end
redis.call('ZREM', KEYS[3], ARGV[3])
local last = redis.call('HGET', KEYS[2], 't:' .. i)
if not last then return false end
if ARGV[2] == '' then redis.call('HSET', KEYS[2], 'l:' .. i, last) end
return {
    tonumber(last),
    redis.call('HINCRBY', KEYS[2], 'f:' .. i, ARGV[5]),
    redis.call('HINCRBY', KEYS[2], 'o:' .. i, ARGV[6]),
    redis.call('HINCRBY', KEYS[1], 'leased', -1),
}
"""
)

# KEYS: job, stage's steps. ARGV: index, attempt, how often at most.
FORGIVE = """
if redis.call('HGET', KEYS[2], 'l:' .. ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[2], 'l:' .. ARGV[1])
if redis.call('HINCRBY', KEYS[2], 'g:' .. ARGV[1], 1) > tonumber(ARGV[3]) then return 0 end
redis.call('HINCRBY', KEYS[2], 'f:' .. ARGV[1], -1)
return 1
"""

# KEYS: job, stage's steps, leases. ARGV: what a step's place begins with, stage.
OPEN_STEPS = """
local job, open = redis.call('HMGET', KEYS[1], 'steps', 'base', 'stage'), {}
if job[3] ~= ARGV[2] then return open end
for i = 0, tonumber(job[1] or 0) - 1 do
    local step = redis.call('HMGET', KEYS[2], 't:' .. i, 'd:' .. i)
    if not step[2] and not redis.call('ZSCORE', KEYS[3], ARGV[1] .. i) then
        table.insert(open, i)
        table.insert(open, tonumber(step[1] or job[2]) + 1)
    end
end
return open
"""

# KEYS: job, stage's steps, leases. ARGV: what a step's place begins with.
FORGET = """
for i = 0, tonumber(redis.call('HGET', KEYS[1], 'steps') or 0) - 1 do
    redis.call('ZREM', KEYS[3], ARGV[1] .. i)
end
redis.call('HSET', KEYS[1], 'leased', 0)
redis.call('DEL', KEYS[2])
"""

# KEYS: job. A job that Redis does not know cannot be begun.
BEGIN = """
if redis.call('HEXISTS', KEYS[1], 'record') == 0 then return 0 end
if redis.call('HEXISTS', KEYS[1], 'ended') == 1 then return 0 end
if redis.call('HEXISTS', KEYS[1], 'stage') == 1 then return 0 end
return redis.call('HSET', KEYS[1], 'stage', 0, 'steps', 1, 'done', 0)
"""

# KEYS: steps that wait. ARGV: how many at most. Those whose time has come, removed.
DUE = (
    NOW
    + """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
if #due > 0 then redis.call('ZREM', KEYS[1], unpack(due)) end
return due
"""
)
