-- A rule about how long conversations are kept is set or removed in one statement, as in the SQLite text beside this one.

CREATE VIEW retention_changes AS
SELECT CAST(NULL AS text) AS subject, CAST(NULL AS bigint) AS days, CAST(NULL AS bigint) AS counts_at WHERE 1 = 0;

CREATE FUNCTION change_retention() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE retention_rules SET counts_at = NEW.counts_at
    WHERE NEW.days IS NULL AND counts_at < NEW.counts_at AND EXISTS (SELECT 1 FROM retention_rules AS gone WHERE gone.subject = NEW.subject);
    DELETE FROM retention_rules WHERE NEW.days IS NULL AND subject = NEW.subject;
    INSERT INTO retention_rules (subject, days, counts_at) SELECT NEW.subject, NEW.days, NEW.counts_at WHERE NEW.days IS NOT NULL
    ON CONFLICT (subject) DO UPDATE SET days = excluded.days, counts_at = CASE
        WHEN retention_rules.days = excluded.days OR retention_rules.days > 0 AND retention_rules.days < excluded.days
        THEN retention_rules.counts_at ELSE excluded.counts_at END;
    RETURN NEW;
END
$$;

CREATE TRIGGER change_retention INSTEAD OF INSERT ON retention_changes FOR EACH ROW EXECUTE FUNCTION change_retention();
