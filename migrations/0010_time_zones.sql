-- The time zone in which a run's calls mean times that say none, as the reader's browser named it when the first call came. Null while nobody has
-- named one, and in what an earlier release wrote.
ALTER TABLE runs ADD COLUMN time_zone text;
