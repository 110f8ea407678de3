-- Histories whose order or case is gone, and of any other kind those with a gap.
SELECT stream, min(type) AS type, count(*) AS events, min(seq) = 1 AND max(seq) = count(*) AS dense FROM event e
WHERE NOT EXISTS (SELECT FROM orders o WHERE o.id = e.stream)
    AND NOT EXISTS (SELECT FROM fallout_case c WHERE c.id = e.stream)
GROUP BY stream
