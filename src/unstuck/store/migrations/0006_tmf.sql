-- TM Forum's side of an order: words added to it, requests to cancel it, and what others tell of their own orders.

-- Words that were added to an order and change no plan, as they came; later ones are merged over earlier ones.
CREATE TABLE order_annotation (
    id          uuid PRIMARY KEY,
    order_id    uuid NOT NULL REFERENCES orders,
    at          timestamptz NOT NULL,
    body        bytea NOT NULL
);
CREATE INDEX annotation_of_order ON order_annotation (order_id, at);

-- A request to cancel an order, assessed in the transaction that wrote it: it never moves afterwards.
CREATE TABLE cancel_service_order (
    id          uuid PRIMARY KEY,
    order_id    uuid NOT NULL REFERENCES orders,
    at          timestamptz NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('cancelled', 'kept', 'impossible')),
    because     text NOT NULL,
    body        bytea NOT NULL
);
CREATE INDEX cancellation_of_order ON cancel_service_order (order_id);
CREATE INDEX cancellation_newest ON cancel_service_order (at DESC, id);

-- What other order managers tell of their own orders, once for each of their events: telling it twice is harmless.
CREATE TABLE foreign_event (
    source      text NOT NULL CHECK (source <> ''),
    event_id    text NOT NULL CHECK (event_id <> ''),
    at          timestamptz NOT NULL,
    event       text NOT NULL,
    order_ref   text NOT NULL,
    state       text NOT NULL,
    sha256      text NOT NULL,
    body        bytea NOT NULL,
    PRIMARY KEY (source, event_id)
);

-- TM Forum's lists ask for the orders of one party.
CREATE INDEX order_by_customer ON orders (customer, received_at DESC);

-- Texts of people and strangers: never changed by us, and erasable by those who purge.
GRANT SELECT, INSERT ON order_annotation, cancel_service_order, foreign_event TO {app_role};
GRANT SELECT, DELETE ON order_annotation, cancel_service_order, foreign_event TO {purge_role};
