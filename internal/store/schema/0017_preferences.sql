-- What users chose in the console: columns, saved views. JSON that the server does not read.
CREATE TABLE preferences (
    user_id BIGINT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
);
