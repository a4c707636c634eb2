//! Accounts.

use domain::{Id, User};

use crate::{Database, Row, Statement, StorageError, Store, database::Columns};

/// An account to be created.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    /// The normalized address.
    pub email: &'a str,
    /// The display name; may be empty.
    pub name: &'a str,
    /// The password's hash as a PHC string.
    pub password_hash: &'a str,
}

const COLUMNS: &str = "id, email, name, role, created_at";

fn read(columns: &mut Columns<'_>) -> Result<User, StorageError> {
    Ok(User {
        id: columns.id()?,
        email: columns.text()?.to_owned(),
        name: columns.text()?.to_owned(),
        role: columns.parsed("a role")?,
        created_at: columns.timestamp()?,
    })
}

impl<D: Database> Store<D> {
    /// Creates an account. The first one is the administrator's. `None`: the address is taken.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn create_user(&self, user: NewUser<'_>) -> Result<Option<User>, StorageError> {
        self.sign_up(user, false).await
    }

    /// Creates the first account. `None`: there is one already.
    ///
    /// # Errors
    /// As [`Self::create_user`].
    pub async fn create_first_user(&self, user: NewUser<'_>) -> Result<Option<User>, StorageError> {
        self.sign_up(user, true).await
    }

    async fn sign_up(&self, user: NewUser<'_>, only_first: bool) -> Result<Option<User>, StorageError> {
        const QUERY: &str = "sign_up";
        let sql = format!(
            "INSERT INTO sign_ups (id, email, name, role, password_hash, only_first, created_at)
             SELECT ?1, ?2, ?3, CASE WHEN EXISTS (SELECT 1 FROM users) THEN 'user' ELSE 'admin' END, ?4, ?5, now_ms()
             WHERE NOT EXISTS (SELECT 1 FROM users WHERE email = ?2)
               AND (CAST(?5 AS bigint) = 0 OR NOT EXISTS (SELECT 1 FROM users)) RETURNING {COLUMNS}"
        );
        let parameters =
            [Id::new().into(), user.email.into(), user.name.into(), user.password_hash.into(), only_first.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?;
        rows.first().map(|row: &Row| read(&mut row.columns(QUERY))).transpose()
    }

    /// The account with this address, and its password hash, if it has a password. `older` is the spelling under which an earlier release may have
    /// stored the entered address. An account with exactly that spelling comes first.
    ///
    /// # Errors
    /// As [`Self::create_user`].
    pub async fn user_by_email(
        &self,
        email: &str,
        older: &str,
    ) -> Result<Option<(User, Option<String>)>, StorageError> {
        const QUERY: &str = "user_by_email";
        let sql = format!(
            "SELECT {COLUMNS}, password_hash FROM users WHERE email IN (?1, ?2)
             ORDER BY CASE WHEN email = ?2 THEN 0 ELSE 1 END LIMIT 1"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [email.into(), older.into()])).await?;
        rows.first()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                Ok((read(&mut columns)?, columns.optional_text()?.map(str::to_owned)))
            })
            .transpose()
    }

    /// The account with this id.
    ///
    /// # Errors
    /// As [`Self::create_user`].
    pub async fn user(&self, id: Id) -> Result<Option<User>, StorageError> {
        const QUERY: &str = "user";
        let sql = format!("SELECT {COLUMNS} FROM users WHERE id = ?1");
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into()])).await?;
        rows.first().map(|row| read(&mut row.columns(QUERY))).transpose()
    }

    /// Whether there is any account.
    ///
    /// # Errors
    /// As [`Self::create_user`].
    pub async fn has_users(&self) -> Result<bool, StorageError> {
        let rows = self.database.query(Statement::new("has_users", "SELECT 1 FROM users LIMIT 1", [])).await?;
        Ok(!rows.is_empty())
    }
}
