-- Providers of models that administrators add.

-- settings: JSON, as crates/models/src/configuration.rs reads it. server: as in model_dialects, the address without parts that may be secret. sealed: its key and headers,
-- sealed with the master key; empty: it wants none.
CREATE TABLE model_providers (
    name text PRIMARY KEY,
    settings text NOT NULL,
    server text NOT NULL,
    sealed text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
