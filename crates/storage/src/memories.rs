//! Facts about people that they had remembered (docs/adr/0060): sealed, at most [`MAX_MEMORIES`] of a person. What a conversation says that is a temporary chat
//! is never remembered. Must not decide what is worth remembering: callers do.

use domain::{
    Id, Memory,
    memory::{MAX_MEMORIES, is_same_memory},
};
use vault::Place;

use crate::{Database, Row, Statement, StorageError, Store, Value, sealed_texts::Opener};

/// How often a fact is tried that others were faster with. Each time, one of them has had its way.
const ATTEMPTS: usize = 4;

const COLUMNS: &str = "id, number, content, conversation_id, created_at, updated_at";

/// The columns of [`read_of_run`] in a statement about `runs`: null if nothing is remembered in this conversation, else the person's facts.
pub(crate) fn of_run() -> String {
    format!(
        "(SELECT COALESCE((SELECT string_agg(memories.id || ' ' || memories.number || ' ' || memories.updated_at || ' ' || memories.content, ',')
              FROM memories WHERE memories.user_id = runs.user_id), '') WHERE {REMEMBERS})"
    )
}

/// The SQL condition that a run's conversation can remember: its person wants it, and it is no temporary chat.
const REMEMBERS: &str = "EXISTS (SELECT 1 FROM users WHERE users.id = runs.user_id AND users.memory_off_at IS NULL)
    AND NOT EXISTS (SELECT 1 FROM conversation_lifetimes
        WHERE conversation_lifetimes.conversation_id = runs.conversation_id AND conversation_lifetimes.is_temporary = 1)";

/// A fact as a prompt has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownFact {
    /// How models name it.
    pub number: i64,
    /// What is remembered.
    pub content: String,
}

/// Reads what [`of_run`] selects, the newest first. `None`: nothing is remembered here.
pub(crate) fn read_of_run(stored: Option<&str>, opener: &Opener) -> Result<Option<Vec<KnownFact>>, StorageError> {
    let Some(stored) = stored else { return Ok(None) };
    let mut facts = Vec::new();
    for fact in stored.split(',') {
        let mut parts = fact.splitn(4, ' ');
        let (Some(id), Some(number), Some(at), Some(content)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (Ok(number), Ok(at)) = (number.parse::<i64>(), at.parse::<i64>()) else { continue };
        facts.push((at, KnownFact { number, content: opener.open(place(id), content)? }));
    }
    facts.sort_by_key(|(at, fact)| std::cmp::Reverse((*at, fact.number)));
    Ok(Some(facts.into_iter().map(|(_, fact)| fact).collect()))
}

/// What came of having something remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remembered {
    /// It is a new fact with this number.
    New(i64),
    /// It took the place of the fact with this number.
    Replaced(i64),
    /// It was known already, under this number.
    Known(i64),
    /// There is no fact with the number that was to be replaced.
    NoSuchFact,
    /// There are [`MAX_MEMORIES`] already.
    Full,
    /// Others changed the person's facts each time before this one was written.
    Busy,
    /// Nothing is remembered here: the person does not want it, or it is a temporary chat.
    Off,
}

/// What came of having something forgotten.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Forgotten {
    /// This was it.
    Forgotten(String),
    /// There is no fact with this number.
    NoSuchFact,
    /// Nothing is remembered here, as in [`Remembered::Off`].
    Off,
}

const fn place(id: &str) -> Place<'_> {
    Place { table: "memories", row: id, column: "content" }
}

fn read(query: &'static str, row: &Row, opener: &Opener) -> Result<Memory, StorageError> {
    let mut columns = row.columns(query);
    let (id, number, content) = (columns.id()?, columns.integer()?, columns.text()?);
    let content = opener.open(place(&id.to_string()), content)?;
    let (conversation_id, created_at, updated_at) =
        (columns.optional_id()?, columns.timestamp()?, columns.timestamp()?);
    Ok(Memory { id, number, content, conversation_id, created_at, updated_at })
}

impl<D: Database> Store<D> {
    /// All facts of a person, by their numbers.
    ///
    /// # Errors
    /// Those of the database and of keys, as in all of these.
    pub async fn memories(&self, user_id: Id) -> Result<Vec<Memory>, StorageError> {
        const QUERY: &str = "memories";
        let sql = format!("SELECT {COLUMNS} FROM memories WHERE user_id = ?1 ORDER BY number LIMIT {MAX_MEMORIES}");
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into()])).await?;
        let opener = self.opener_if_usable(user_id, &rows).await?;
        rows.iter().map(|row| read(QUERY, row, &opener)).collect()
    }

    /// Whether a person wants anything remembered.
    ///
    /// # Errors
    /// As [`Self::memories`].
    pub async fn memory_is_on(&self, user_id: Id) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM users WHERE id = ?1 AND memory_off_at IS NULL";
        Ok(!self.database.query(Statement::new("memory_is_on", sql, [user_id.into()])).await?.is_empty())
    }

    /// Turns remembering on or off. What is remembered stays, and is not used while it is off.
    ///
    /// # Errors
    /// As [`Self::memories`].
    pub async fn switch_memory(&self, user_id: Id, is_on: bool) -> Result<(), StorageError> {
        let at = if is_on { "CAST(NULL AS bigint)" } else { "COALESCE(memory_off_at, now_ms())" };
        let sql = format!("UPDATE users SET memory_off_at = {at} WHERE id = ?1");
        let statement = Statement::new("switch_memory", sql, [user_id.into()]).durably().repeatably();
        self.database.query(statement).await.map(drop).map_err(Into::into)
    }

    /// Whether the conversation of a person's run can remember.
    async fn run_remembers(&self, user_id: Id, run_id: Id) -> Result<bool, StorageError> {
        let sql = format!("SELECT 1 FROM runs WHERE runs.id = ?1 AND runs.user_id = ?2 AND {REMEMBERS}");
        let statement = Statement::new("run_remembers", sql, [run_id.into(), user_id.into()]);
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Remembers what is said in the conversation of a person's run, in place of the fact with the number `replaces` if there is one. The same fact is kept
    /// once, however often and by however many it is said.
    ///
    /// # Errors
    /// As [`Self::memories`].
    pub async fn remember(
        &self,
        user_id: Id,
        run_id: Id,
        content: &str,
        replaces: Option<i64>,
    ) -> Result<Remembered, StorageError> {
        for _ in 0..ATTEMPTS {
            if !self.run_remembers(user_id, run_id).await? {
                return Ok(Remembered::Off);
            }
            let known = self.memories(user_id).await?;
            let replaced = known.iter().find(|memory| Some(memory.number) == replaces);
            if replaces.is_some() && replaced.is_none() {
                return Ok(Remembered::NoSuchFact);
            }
            if let Some(same) = known.iter().find(|memory| is_same_memory(&memory.content, content)) {
                if let Some(replaced) = replaced.filter(|replaced| replaced.id != same.id) {
                    self.delete_memory(user_id, replaced.id).await?;
                }
                return Ok(Remembered::Known(same.number));
            }
            let written = match replaced {
                Some(replaced) => {
                    let is_written = self.replace_memory(user_id, run_id, replaced, content).await?;
                    is_written.then_some(Remembered::Replaced(replaced.number))
                }
                None if known.len() >= MAX_MEMORIES => return Ok(Remembered::Full),
                None => {
                    let number = known.last().map_or(1, |last| last.number.saturating_add(1));
                    self.add_memory(user_id, run_id, number, content).await?.then_some(Remembered::New(number))
                }
            };
            if let Some(written) = written {
                return Ok(written);
            }
        }
        Ok(Remembered::Busy)
    }

    /// `false`: somebody else has this number now, or the run is gone.
    async fn add_memory(&self, user_id: Id, run_id: Id, number: i64, content: &str) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO memories (id, user_id, number, content, conversation_id, created_at, updated_at)
             SELECT CAST(?3 AS text), runs.user_id, CAST(?4 AS bigint), CAST(?5 AS text), runs.conversation_id, now_ms(), now_ms()
             FROM runs WHERE runs.id = ?1 AND runs.user_id = ?2 AND {REMEMBERS}
             ON CONFLICT (user_id, number) DO NOTHING RETURNING id"
        );
        let id = Id::new();
        let sealed = self.sealed_memory(user_id, id, content).await?;
        let parameters = [run_id.into(), user_id.into(), id.into(), number.into(), sealed];
        Ok(!self.database.query(Statement::new("add_memory", sql, parameters).durably()).await?.is_empty())
    }

    /// `false`: it was changed or deleted since it was read.
    async fn replace_memory(
        &self,
        user_id: Id,
        run_id: Id,
        former: &Memory,
        content: &str,
    ) -> Result<bool, StorageError> {
        let sql = format!(
            "UPDATE memories SET content = ?4, conversation_id = runs.conversation_id,
                 updated_at = CASE WHEN now_ms() > memories.updated_at THEN now_ms() ELSE memories.updated_at + 1 END
             FROM runs WHERE runs.id = ?1 AND runs.user_id = ?2 AND {REMEMBERS} AND memories.id = ?3 AND memories.user_id = ?2
                 AND memories.updated_at = CAST(?5 AS bigint) RETURNING memories.id"
        );
        let sealed = self.sealed_memory(user_id, former.id, content).await?;
        let at = former.updated_at.as_millis();
        let parameters = [run_id.into(), user_id.into(), former.id.into(), sealed, at.into()];
        Ok(!self.database.query(Statement::new("replace_memory", sql, parameters).durably()).await?.is_empty())
    }

    async fn sealed_memory(&self, user_id: Id, id: Id, content: &str) -> Result<Value, StorageError> {
        // No earlier release reads this table, so it is sealed also while others of it may run.
        Ok(Value::Text(self.data_key(user_id).await?.seal(place(&id.to_string()), content)?))
    }

    /// Forgets a fact of the person of a run.
    ///
    /// # Errors
    /// As [`Self::memories`].
    pub async fn forget(&self, user_id: Id, run_id: Id, number: i64) -> Result<Forgotten, StorageError> {
        if !self.run_remembers(user_id, run_id).await? {
            return Ok(Forgotten::Off);
        }
        let known = self.memories(user_id).await?;
        let Some(memory) = known.into_iter().find(|memory| memory.number == number) else {
            return Ok(Forgotten::NoSuchFact);
        };
        self.delete_memory(user_id, memory.id).await?;
        Ok(Forgotten::Forgotten(memory.content))
    }

    /// Changes what a fact of the owner says, and nothing about where it was said. `None`: there is none.
    ///
    /// # Errors
    /// As [`Self::memories`].
    pub async fn edit_memory(&self, user_id: Id, id: Id, content: &str) -> Result<Option<Memory>, StorageError> {
        const QUERY: &str = "edit_memory";
        let sql = format!(
            "UPDATE memories SET content = ?3, updated_at = CASE WHEN now_ms() > updated_at THEN now_ms() ELSE updated_at + 1 END
             WHERE id = ?1 AND user_id = ?2 RETURNING {COLUMNS}"
        );
        let sealed = self.sealed_memory(user_id, id, content).await?;
        let statement = Statement::new(QUERY, sql, [id.into(), user_id.into(), sealed]).durably();
        let rows = self.database.query(statement).await?;
        let opener = self.opener(user_id, &rows).await?;
        rows.first().map(|row| read(QUERY, row, &opener)).transpose()
    }

    /// Deletes a fact of the owner. `false`: there is none.
    ///
    /// # Errors
    /// As [`Self::memories`].
    pub async fn delete_memory(&self, user_id: Id, id: Id) -> Result<bool, StorageError> {
        let sql = "DELETE FROM memories WHERE id = ?1 AND user_id = ?2 RETURNING id";
        let statement = Statement::new("delete_memory", sql, [id.into(), user_id.into()]).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Deletes all facts of a person, and says how many there were.
    ///
    /// # Errors
    /// As [`Self::memories`].
    pub async fn delete_memories(&self, user_id: Id) -> Result<usize, StorageError> {
        let sql = "DELETE FROM memories WHERE user_id = ?1 RETURNING id";
        let statement = Statement::new("delete_memories", sql, [user_id.into()]).durably();
        Ok(self.database.query(statement).await?.len())
    }
}
