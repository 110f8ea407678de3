-- Those somebody may hold: the newest, the last of each day, and the ones that were asked for.
SELECT size, note FROM checkpoint
WHERE size IN (SELECT size FROM checkpoint ORDER BY size DESC LIMIT $1)
    OR size IN (SELECT max(size) FROM checkpoint GROUP BY (at AT TIME ZONE 'UTC')::date) OR size = ANY($2::bigint[])
ORDER BY size
