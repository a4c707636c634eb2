//! How many requests that make work may come in a minute, from everybody, a person and a session; and how a client learns of it
//! (draft-ietf-httpapi-ratelimit-headers-10). What counts is in docs/limits.md; the counting is `storage::rate_limits`.

use http::{HeaderName, HeaderValue, StatusCode, header};
use problem::Problem;
use storage::{
    access::RoleLimit,
    budgets::Budget,
    limits::LimitKind,
    rate_limits::{Bucket, Quota},
};

use crate::{
    Result, Session,
    settings::{self, Check},
};

/// The brief's hundred a minute, from everybody together.
const INSTALLATION: u32 = 100;
/// The brief's thirty a minute and person.
const PERSON: u32 = 30;
/// The brief's ten a minute and session.
const SESSION: u32 = 10;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// The variables of [`Rates::parse`], in its order.
pub const VARIABLES: [&str; 3] = ["requests_per_minute", "person_requests_per_minute", "session_requests_per_minute"];

/// The operator's rates, which count where nothing else is set for a role or a key. 0: no limit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Rates {
    installation: u32,
    person: u32,
    session: u32,
}

impl Rates {
    /// Reads the values of [`VARIABLES`]. What is no number counts as the default.
    #[must_use]
    pub fn parse([installation, person, session]: [&str; 3]) -> Self {
        let number = |value: &str, default| value.parse().unwrap_or(default);
        Self {
            installation: number(installation, INSTALLATION),
            person: number(person, PERSON),
            session: number(session, SESSION),
        }
    }

    /// Checks the values of [`VARIABLES`], for `/ready`.
    #[must_use]
    pub fn checks(values: [&str; 3]) -> Vec<Check> {
        let checked = VARIABLES.into_iter().zip(values).zip([INSTALLATION, PERSON, SESSION]);
        checked
            .map(|((name, value), default)| settings::number(name, value, 0, &format!("{default} is used instead")))
            .collect()
    }
}

/// The rates that administrators have set for roles.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct RoleLimits(Vec<RoleLimit>);

impl RoleLimits {
    pub(crate) const fn new(limits: Vec<RoleLimit>) -> Self {
        Self(limits)
    }

    /// How many a minute somebody with these roles may have: the most that one of them allows. A role for which nothing is set allows the default.
    /// 0: no limit.
    #[must_use]
    pub fn per_minute<'a>(&self, roles: impl IntoIterator<Item = &'a str>, kind: LimitKind, default: u32) -> u32 {
        let of_role = |role: &str| {
            let set = self.0.iter().find(|limit| limit.role == role && limit.kind == kind);
            set.map_or(default, |limit| limit.per_minute)
        };
        roles.into_iter().map(of_role).max_by_key(|per_minute| without_limit_last(*per_minute)).unwrap_or(default)
    }
}

const fn without_limit_last(per_minute: u32) -> u64 {
    if per_minute == 0 { u64::MAX } else { per_minute as u64 }
}

/// The limits that a request takes from.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct RequestLimits {
    names: Vec<(&'static str, u32)>,
    buckets: Vec<Bucket>,
}

impl RequestLimits {
    /// Those of somebody's request.
    #[must_use]
    pub fn of(session: &Session, rates: &Rates) -> Self {
        let (mut limits, user_id) = (Self::default(), session.user_id());
        limits.add("installation", "requests".to_owned(), rates.installation);
        let person = session.per_minute(LimitKind::PersonRequests, rates.person);
        limits.add("person", format!("requests:user:{user_id}"), person);
        match (session.api_key(), session.session_id()) {
            (Some(key), _) => {
                let of_roles = || session.per_minute(LimitKind::SessionRequests, rates.session);
                let per_minute = key.requests_per_minute.unwrap_or_else(of_roles);
                limits.add("key", format!("requests:key:{}", key.id), per_minute);
            }
            (None, Some(id)) => {
                let per_minute = session.per_minute(LimitKind::SessionRequests, rates.session);
                limits.add("session", format!("requests:session:{id}"), per_minute);
            }
            // A token of an earlier release, for fifteen minutes.
            (None, None) => {}
        }
        limits
    }

    fn add(&mut self, name: &'static str, key: String, per_minute: u32) {
        if per_minute > 0 {
            self.names.push((name, per_minute));
            self.buckets.push(Bucket::per_minute(key, per_minute));
        }
    }

    /// What to take one of each from, in one statement.
    #[must_use]
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// The headers that say which limits there are and what is left of them. None, if nothing is known of what is left.
    #[must_use]
    pub fn headers(&self, left: &[Quota]) -> Vec<(HeaderName, HeaderValue)> {
        if self.names.is_empty() || left.len() != self.names.len() {
            return Vec::new();
        }
        let policies: Vec<_> = self.names.iter().map(|(name, quota)| format!("\"{name}\";q={quota};w=60")).collect();
        let state = |(name, _): &(&str, u32), quota: &Quota| {
            format!("\"{name}\";r={};t={}", quota.remaining, seconds(quota.full_in_us))
        };
        let states: Vec<_> = self.names.iter().zip(left).map(|(name, quota)| state(name, quota)).collect();
        let values = [(POLICY, policies.join(", ")), (LEFT, states.join(", "))];
        values.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))).collect()
    }

    /// Refuses the request if a limit is reached.
    ///
    /// # Errors
    /// 429, with the code `rate_limited`.
    pub fn check(&self, left: &[Quota]) -> Result<()> {
        if left.iter().any(|quota| quota.wait_us > 0) { Err(self.refusal(left).into()) } else { Ok(()) }
    }

    /// 429 with the code `rate_limited`, because a limit is reached. The one that has to be waited for the longest is named.
    #[must_use]
    pub fn refusal(&self, left: &[Quota]) -> Problem {
        let reached = self.names.iter().zip(left).max_by_key(|(_, quota)| quota.wait_us);
        let Some(((name, per_minute), quota)) = reached else {
            return Problem::rate_limited("Too many requests. Try again in a moment.", 1);
        };
        let wait_s = seconds(quota.wait_us).max(1);
        let whose = match *name {
            "installation" => "from everybody together",
            "person" => "from one person",
            "key" => "with this API key",
            _ => "from one session",
        };
        let detail =
            format!("{per_minute} requests a minute are taken {whose}, and they are used up. Try again in {wait_s} s.");
        self.told(Problem::rate_limited(detail, wait_s).with_limit(*name), left)
    }

    /// A refusal for another reason that says what is left, too.
    #[must_use]
    pub fn told(&self, problem: Problem, left: &[Quota]) -> Problem {
        self.headers(left).into_iter().fold(problem, |problem, (name, value)| problem.with_header(name, value))
    }
}

const fn seconds(microseconds: u64) -> u64 {
    microseconds.div_ceil(1_000_000)
}

/// How long a client waits for what answers in progress have reserved, in seconds: most answers end in this time.
const RESERVED_S: u64 = 10;

/// 429: nothing is left of a budget, for now or until it renews. The code is `budget`.
#[must_use]
pub fn over_budget(budget: &Budget) -> Problem {
    refused_by_budget(budget, budget.left_unreserved > 0)
}

/// The same, where it is known whether the rest of the budget would be enough if nothing were reserved for answers in progress.
#[must_use]
pub fn refused_by_budget(budget: &Budget, is_reserved: bool) -> Problem {
    let (detail, wait_s) = match is_reserved {
        false => (budget.used_up(), renewed_in_s(budget)),
        true => (budget.reserved(), RESERVED_S),
    };
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "budget", detail)
        .with_limit(budget.subject.kind())
        .with_header(header::RETRY_AFTER, HeaderValue::from(wait_s))
}

fn renewed_in_s(budget: &Budget) -> u64 {
    let wait_ms = budget.renewed_at().as_millis().saturating_sub(budget.at.as_millis());
    u64::try_from(wait_ms).unwrap_or_default().div_ceil(1_000).max(1)
}

#[cfg(test)]
mod tests {
    use storage::limits::Subject;

    use super::*;

    fn limits() -> RequestLimits {
        let mut limits = RequestLimits::default();
        limits.add("person", "p".into(), 30);
        limits.add("session", "s".into(), 10);
        limits.add("none", "n".into(), 0);
        limits
    }

    fn header(headers: &[(HeaderName, HeaderValue)], name: &str) -> String {
        let found = headers.iter().find(|(header, _)| header.as_str() == name);
        found.unwrap().1.to_str().unwrap().to_owned()
    }

    #[test]
    fn what_is_left_is_said_with_every_answer() {
        let left = [(29, 2_000_000), (0, 59_999_999)];
        let left = left.map(|(remaining, full_in_us)| Quota { wait_us: 0, remaining, full_in_us });
        let headers = limits().headers(&left);
        assert_eq!(header(&headers, "ratelimit-policy"), "\"person\";q=30;w=60, \"session\";q=10;w=60");
        assert_eq!(header(&headers, "ratelimit"), "\"person\";r=29;t=2, \"session\";r=0;t=60");
        assert!(limits().check(&left).is_ok());
        assert!(limits().headers(&[]).is_empty());
    }

    #[test]
    fn who_is_refused_learns_by_which_limit_and_until_when() {
        let left = [(0, 28), (5_500_000, 0)];
        let left = left.map(|(wait_us, remaining)| Quota { wait_us, remaining, full_in_us: 1 });
        let response = limits().refusal(&left).to_response("r");
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &HeaderValue::from(6)));
        assert!(response.headers().contains_key("ratelimit") && response.headers().contains_key("ratelimit-policy"));
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((&body["code"], &body["limit"]), (&"rate_limited".into(), &"session".into()));
        assert!(body["detail"].as_str().unwrap().contains("Try again in 6 s."), "{body}");
    }

    #[test]
    fn the_most_generous_role_counts() {
        let limit =
            |role: &str, per_minute| RoleLimit { role: role.into(), kind: LimitKind::PersonRequests, per_minute };
        let limits = RoleLimits::new(vec![limit("trial", 5), limit("batch", 300), limit("machine", 0)]);
        let per_minute = |roles: &[&str]| limits.per_minute(roles.iter().copied(), LimitKind::PersonRequests, 30);
        assert_eq!(per_minute(&["trial"]), 5);
        assert_eq!(per_minute(&["trial", "member"]), 30);
        assert_eq!(per_minute(&["trial", "batch", "member"]), 300);
        assert_eq!(per_minute(&["batch", "machine"]), 0, "no limit is the most generous");
        assert_eq!(per_minute(&[]), 30);
        assert_eq!(limits.per_minute(["trial"], LimitKind::ToolCalls, 30), 30, "what is set limits nothing else");
    }

    #[test]
    fn a_wrong_number_is_said_and_counts_as_the_default() {
        assert_eq!(Rates::parse(["0", "many", ""]), Rates { installation: 0, person: PERSON, session: SESSION });
        let failed = |check: &Check| check.status == crate::settings::Status::Failed;
        assert_eq!(Rates::checks(["0", "many", "7"]).iter().map(failed).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn a_budget_that_is_used_up_says_when_it_renews() {
        let kind = LimitKind::TokensPerDay;
        let (subject, at) = (Subject::User(domain::Id::new()), "2026-11-29T23:58:59.001Z".parse().unwrap());
        let budget = Budget { subject, kind, amount: 1_000, left: 0, left_unreserved: 0, at };
        let response = over_budget(&budget).to_response("r");
        assert_eq!(response.headers()["retry-after"], "61", "by the database's clock");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((&body["code"], &body["limit"]), (&"budget".into(), &"user".into()));
        assert!(body["detail"].as_str().unwrap().contains("00:00 UTC"), "{body}");

        let response = over_budget(&Budget { left_unreserved: 1, ..budget }).to_response("r");
        assert_eq!(response.headers()["retry-after"], "10");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["code"], "budget");
        assert!(body["detail"].as_str().unwrap().contains("reserved for answers in progress"), "{body}");
    }
}
