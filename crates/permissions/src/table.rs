//! The table of permissions: what each is for, and which built-in roles have it. The role `admin` has all of them.

/// A permission that can be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its name, such as `conversations:read`.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Whether the name is followed by a pattern that says for which tools or models it holds: `models:use:gpt-*`.
    pub has_pattern: bool,
    /// The built-in roles that have it, besides `admin`. With a pattern, they have it for all.
    pub roles: &'static [&'static str],
}

/// A permission that a route needs, as a type.
pub trait Required: Send + Sync + 'static {
    /// Its name in the table.
    const NAME: &'static str;
}

/// Has every permission, also those that later releases add.
pub const ADMIN: &str = "admin";
/// People who use the installation.
pub const MEMBER: &str = "member";
/// Programs that use the installation.
pub const SERVICE: &str = "service";

/// The built-in roles.
pub const BUILT_IN: [&str; 3] = [ADMIN, MEMBER, SERVICE];

/// To call a tool. The pattern names server and tool: `tools:call:mail:*`.
pub(crate) const CALL_TOOL: &str = "tools:call";
/// To have a model answer. The pattern names models: `models:use:gpt-*`.
pub(crate) const USE_MODEL: &str = "models:use";

/// Makes a type for each permission that a route can need, and the table.
macro_rules! table {
    (
        routes { $(#[doc = $purpose:literal] $marker:ident = $name:literal $roles:expr;)* }
        patterns { $(#[doc = $pattern_purpose:literal] $pattern_name:ident $pattern_roles:expr;)* }
    ) => {
        $(
            #[doc = $purpose]
            #[derive(Clone, Copy, Debug)]
            pub enum $marker {}

            impl Required for $marker {
                const NAME: &'static str = $name;
            }
        )*

        /// Every permission there is.
        pub const TABLE: &[Row] = &[
            $(Row { name: $name, purpose: $purpose.trim_ascii(), has_pattern: false, roles: &$roles },)*
            $(Row { name: $pattern_name, purpose: $pattern_purpose.trim_ascii(), has_pattern: true, roles: &$pattern_roles },)*
        ];
    };
}

table! {
    routes {
        /// Read one's own conversations, messages and runs, what is remembered about oneself, and the assistants that one can use
        ConversationsRead = "conversations:read" [MEMBER, SERVICE];
        /// Write one's own conversations, messages, memories and assistants, start and stop runs, decide about calls
        ConversationsWrite = "conversations:write" [MEMBER, SERVICE];
        /// See and download one's own files
        FilesRead = "files:read" [MEMBER, SERVICE];
        /// Upload files, and delete one's own
        FilesWrite = "files:write" [MEMBER, SERVICE];
        /// Share one's own assistants with groups that one is in
        AssistantsShare = "assistants:share" [MEMBER];
        /// Change and delete assistants that others have shared
        AssistantsManage = "assistants:manage" [];
        /// See which tools there are
        ToolsRead = "tools:read" [MEMBER, SERVICE];
        /// Set policies for oneself, and enter one's own secrets for tools
        ToolsManage = "tools:manage" [MEMBER];
        /// Use the gateway for programs
        GatewayUse = "gateway:use" [MEMBER, SERVICE];
        /// Have models answer programs, at `/v1`; which ones, `models:use` says
        ModelsCall = "models:call" [MEMBER, SERVICE];
        /// Have one's own events told to addresses
        WebhooksUse = "webhooks:use" [MEMBER];
        /// Set policies for everybody
        PoliciesManage = "policies:manage" [];
        /// See all accounts
        UsersRead = "users:read" [];
        /// Give accounts a role, suspend them, make links that reset passwords, take second factors away
        UsersManage = "users:manage" [];
        /// Erase accounts, take that back, read the receipts
        UsersErase = "users:erase" [];
        /// Invite people
        InvitationsManage = "invitations:manage" [];
        /// Make groups, give them roles, choose their members
        GroupsManage = "groups:manage" [];
        /// Make and change roles
        RolesManage = "roles:manage" [];
        /// Make accounts for programs, and their keys
        ServiceAccountsManage = "service-accounts:manage" [];
        /// See and end the sessions of everybody
        SessionsManage = "sessions:manage" [];
        /// See the installation's keys, and rotate them
        KeysManage = "keys:manage" [];
        /// See, add, change, test and remove providers of models
        ProvidersManage = "providers:manage" [];
        /// See how the installation is configured
        SettingsRead = "settings:read" [];
        /// See how much everybody uses
        UsageRead = "usage:read" [];
        /// Set rates for roles and keys, and budgets of tokens and money
        LimitsManage = "limits:manage" [];
        /// Set how long conversations are kept
        RetentionManage = "retention:manage" [];
        /// Have everybody's events told to addresses
        WebhooksManage = "webhooks:manage" [];
        /// Read the metrics, for Prometheus
        MetricsRead = "metrics:read" [];
        /// Read the record of who did what
        AuditRead = "audit:read" [];
        /// Take the record elsewhere, with everybody's events
        AuditExport = "audit:export" [];
    }
    patterns {
        /// Have these models answer
        USE_MODEL [MEMBER, SERVICE];
        /// Call these tools; policies still decide about each call
        CALL_TOOL [MEMBER, SERVICE];
    }
}
