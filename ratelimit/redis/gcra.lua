-- Takes a token of KEYS[1], or refuses. Times are microseconds; those that are
-- kept begin with 2025, so that a double tells a tenth of a microsecond.
--   ARGV[1]  from one token to the next; 0 takes none
--   ARGV[2]  how long before a token is due it may be taken: what is saved up
--   ARGV[3]  how long the caller would wait
--   ARGV[4]  how long any caller would
-- Returns {1, how long to wait} or {0, when to come back}.
local interval, saved = tonumber(ARGV[1]), tonumber(ARGV[2])
local patience, longest = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = (time[1] - 1735689600) * 1000000 + time[2]

local due = tonumber(redis.call('GET', KEYS[1]) or now)
-- Later than this is what a clock left that has been set back.
due = math.min(due, now + saved + longest + interval)
due = math.max(due, now)

local wait = due - saved - now
if wait > patience then
	return {0, math.ceil(wait - patience)}
end
due = due + interval
redis.call('SET', KEYS[1], string.format('%.17g', due), 'PX', string.format('%d', math.ceil((due - now) / 1000) + 1000))
return {1, math.ceil(math.max(0, wait))}
