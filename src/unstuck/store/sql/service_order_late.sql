-- What was said to be late of these orders: alerts stay, they are history.
SELECT stream, seq, at, data FROM event WHERE stream = ANY($1::uuid[]) AND type = 'order.jeopardy-raised'
ORDER BY stream, seq
