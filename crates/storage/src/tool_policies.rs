//! Policies for tools, of the installation and of people. This crate does not interpret their patterns.

use domain::{Decision, Effect, Id, Timestamp};

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    access::{PersonRoles, read_roles, roles_of},
    database::Columns,
};

/// The policies of one person, or of the installation. They are read at every call, and nobody reviews more.
pub const MAX_POLICIES: usize = 500;

/// The owner of the installation's policies.
pub(crate) const INSTALLATION: &str = "";

/// A policy for the tools that a pattern names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolPolicy {
    /// Whether the policy is the installation's, not the person's.
    pub installation: bool,
    /// `server:tool`, with `*` for anything.
    pub pattern: String,
    /// The policy's effect on these tools.
    pub effect: Effect,
}

/// A question about a call, and its decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    /// The server in the question. An approval is valid only for this server's tool.
    pub server: String,
    /// The tool in the question.
    pub tool: String,
    /// The person's decision, if there is one.
    pub decision: Option<Decision>,
    /// When the question expires or expired.
    pub expires_at: Timestamp,
    /// Whether the question expired without a decision.
    pub expired: bool,
}

/// The facts that decide whether a person's call may be made.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ToolPermission {
    /// The policies of the installation and the person, denying ones first.
    pub policies: Vec<ToolPolicy>,
    /// The call's approval, if the person was asked.
    pub approval: Option<Approval>,
    /// The person's roles.
    pub roles: PersonRoles,
}

/// The SQL for the policies of a person and the installation. If there were too many, allowing ones would be missing.
pub(crate) fn selected() -> String {
    let limit = 2 * MAX_POLICIES;
    format!(
        "SELECT user_id, pattern, effect FROM tool_policies WHERE user_id IN ('{INSTALLATION}', ?1)
         ORDER BY CASE effect WHEN 'deny' THEN 0 WHEN 'ask' THEN 1 ELSE 2 END, user_id, pattern LIMIT {limit}"
    )
}

fn read(columns: &mut Columns<'_>) -> Result<ToolPolicy, StorageError> {
    Ok(ToolPolicy {
        installation: columns.text()? == INSTALLATION,
        pattern: columns.text()?.to_owned(),
        effect: columns.read("an effect", Effect::parse)?,
    })
}

fn owner(user_id: Option<Id>) -> Value {
    user_id.map_or_else(|| INSTALLATION.into(), Value::from)
}

impl<D: Database> Store<D> {
    /// The facts that decide whether a person's call may be made. `call` is the person's run and the model's id of the call.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn tool_permission(&self, user_id: Id, call: Option<(Id, &str)>) -> Result<ToolPermission, StorageError> {
        const QUERY: &str = "tool_permission";
        let policies = selected();
        let sql = format!(
            "SELECT 1, user_id, pattern, effect, 0, 0 FROM ({policies}) AS policies
             UNION ALL
             SELECT 0, server, tool, COALESCE(decision, ''), expires_at,
                 CASE WHEN decision IS NULL AND expires_at <= now_ms() THEN 1 ELSE 0 END
             FROM approvals WHERE run_id = ?2 AND call_id = ?3 AND user_id = ?1
             UNION ALL SELECT 2, {}, '', 0, 0",
            roles_of("?1")
        );
        let (run_id, call_id) = call.unzip();
        let rows =
            self.database.query(Statement::new(QUERY, sql, [user_id.into(), run_id.into(), call_id.into()])).await?;
        let mut permission = ToolPermission::default();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            match columns.integer()? {
                2 => permission.roles = read_roles(&mut columns)?,
                1 => permission.policies.push(read(&mut columns)?),
                _ => {
                    permission.approval = Some(Approval {
                        server: columns.text()?.to_owned(),
                        tool: columns.text()?.to_owned(),
                        decision: columns.read("a decision or nothing", |text| match text {
                            "" => Some(None),
                            decision => Decision::parse(decision).map(Some),
                        })?,
                        expires_at: columns.timestamp()?,
                        expired: columns.flag()?,
                    });
                }
            }
        }
        Ok(permission)
    }

    /// The policies of the installation and the person.
    ///
    /// # Errors
    /// As [`Self::tool_permission`].
    pub async fn tool_policies(&self, user_id: Id) -> Result<Vec<ToolPolicy>, StorageError> {
        const QUERY: &str = "tool_policies";
        let rows = self.database.query(Statement::new(QUERY, selected(), [user_id.into()])).await?;
        rows.iter().map(|row: &Row| read(&mut row.columns(QUERY))).collect()
    }

    /// Sets the policy for a pattern, of a person or of the whole installation, instead of the previous one. `false`: there are [`MAX_POLICIES`]
    /// already.
    ///
    /// # Errors
    /// As [`Self::tool_permission`].
    pub async fn set_tool_policy(
        &self,
        user_id: Option<Id>,
        pattern: &str,
        effect: Effect,
    ) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO tool_policies (user_id, pattern, effect, created_at) SELECT ?1, ?2, ?3, now_ms()
             WHERE EXISTS (SELECT 1 FROM tool_policies WHERE user_id = ?1 AND pattern = ?2)
                OR (SELECT COUNT(*) FROM tool_policies WHERE user_id = ?1) < {MAX_POLICIES}
             ON CONFLICT (user_id, pattern) DO UPDATE SET effect = excluded.effect, created_at = excluded.created_at
             RETURNING pattern"
        );
        let parameters = [owner(user_id), pattern.into(), effect.as_str().into()];
        let statement = Statement::new("set_tool_policy", sql, parameters).durably().repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Deletes the policy for a pattern.
    ///
    /// # Errors
    /// As [`Self::tool_permission`].
    pub async fn delete_tool_policy(&self, user_id: Option<Id>, pattern: &str) -> Result<(), StorageError> {
        let sql = "DELETE FROM tool_policies WHERE user_id = ?1 AND pattern = ?2";
        let statement = Statement::new("delete_tool_policy", sql, [owner(user_id), pattern.into()]);
        self.database.query(statement.durably().repeatably()).await?;
        Ok(())
    }
}
