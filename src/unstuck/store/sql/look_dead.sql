-- Messages that a receiver did not take, each stream in its order.
SELECT d.leaf, d.stream, d.state, d.tries, d.due, d.status, d.because, d.at, l.seq, e.type
FROM delivery d JOIN leaf l ON l.n = d.leaf JOIN event e ON e.stream = l.stream AND e.seq = l.seq
WHERE d.subscription = $1 AND d.state = 'DEAD' ORDER BY d.leaf LIMIT 500
