-- Who looked at masked values lately: few rows, however long the history is.
CREATE INDEX event_revealed ON event (by, at) WHERE type = 'fallout-case.revealed';
