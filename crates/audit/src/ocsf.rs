//! Events in the words of OCSF 1.3 (schema.ocsf.io), for programs that collect events of many sources. Must contain nothing that the record does not.

use serde_json::{Value, json};

use crate::event::StoredEvent;

/// The version of the schema.
const VERSION: &str = "1.3.0";
/// The product that the events are from.
const PRODUCT: &str = "Edge Assistant";
/// Activity and status of what the schema has no word for.
const OTHER: u32 = 99;

/// A class of events, and what happened within it.
#[derive(Clone, Copy)]
enum Class {
    /// Somebody logs in or out. 1 logon, 2 logoff.
    Authentication,
    /// An account changes. 1 create, 2 enable, 3 password change, 4 password reset, 5 disable, 6 delete, 10 MFA factor enable, 11 disable.
    AccountChange,
    /// A tool or a key is used. 2 read, 99 other.
    ApiActivity,
    /// Something else is made, changed or deleted. 1 create, 2 read, 3 update, 4 delete.
    EntityManagement,
}

impl Class {
    const fn uid(self) -> u32 {
        match self {
            Self::AccountChange => 3001,
            Self::Authentication => 3002,
            Self::EntityManagement => 3004,
            Self::ApiActivity => 6003,
        }
    }
}

/// The class of an action, and its activity there.
fn class(action: &str) -> (Class, u32) {
    use Class::{AccountChange, ApiActivity, Authentication, EntityManagement};
    match action {
        "session.log_in" | "provider.log_in" | "second_factor.code" | "recovery_code.use" => (Authentication, 1),
        "session.log_out" => (Authentication, 2),
        "account.create" | "service_account.create" => (AccountChange, 1),
        "user.resume" | "account.erasure_take_back" => (AccountChange, 2),
        "password.change" => (AccountChange, 3),
        "password.reset" | "user.reset_link" => (AccountChange, 4),
        "user.suspend" | "account.erasure_request" => (AccountChange, 5),
        "account.erase" => (AccountChange, 6),
        "second_factor.set" => (AccountChange, 10),
        "second_factor.remove" | "user.remove_second_factor" => (AccountChange, 11),
        "user.role" | "recovery_codes.renew" | "provider.link" | "account.export" => (AccountChange, OTHER),
        "resource.read" | "prompt.get" => (ApiActivity, 2),
        "tool.call" | "api_key.use" | "oauth.use" => (ApiActivity, OTHER),
        _ => {
            let verb = action.rsplit('.').next().unwrap_or_default();
            let activity = match verb {
                "create" | "allow" | "join" => 1,
                "export" => 2,
                "set" | "update" | "rotate" | "decide" => 3,
                "delete" | "remove" | "revoke" | "leave" | "end" | "expire" => 4,
                _ => OTHER,
            };
            (EntityManagement, activity)
        }
    }
}

/// An event with its detail, and its position in the chain if it has one.
#[must_use]
pub fn event(event: &StoredEvent, position: Option<i64>) -> Value {
    let (class, activity) = class(&event.action);
    let class_uid = class.uid();
    // What is neither done nor refused: a question, a beginning.
    let status = match event.outcome.as_str() {
        "ok" | "allow" | "allow_always" => 1,
        "approval_asked" | "begun" => OTHER,
        _ => 2,
    };
    let user = json!({"uid": event.user_id});
    let mut written = json!({
        "metadata": {
            "version": VERSION,
            "uid": event.id,
            "event_code": event.action,
            "sequence": position,
            "product": {"name": PRODUCT, "vendor_name": PRODUCT},
        },
        "time": event.at,
        "category_uid": class_uid / 1000,
        "class_uid": class_uid,
        "activity_id": activity,
        "activity_name": event.action,
        "type_uid": u64::from(class_uid) * 100 + u64::from(activity),
        "severity_id": 1,
        "status_id": status,
        "status_code": event.outcome,
        "actor": {"user": user},
        "unmapped": {"run_id": event.run_id, "call_id": event.call_id, "detail": event.detail},
    });
    let (name, value) = match class {
        Class::Authentication | Class::AccountChange => ("user", json!({"uid": event.subject})),
        Class::ApiActivity => ("api", json!({"operation": event.action, "service": {"name": event.subject}})),
        Class::EntityManagement => ("entity", json!({"uid": event.subject, "type": event.action.split('.').next()})),
    };
    if let Some(fields) = written.as_object_mut() {
        fields.insert(name.to_owned(), value);
        if matches!(class, Class::ApiActivity) {
            // The schema wants to know where the request came from, which the record does not say.
            fields.insert("src_endpoint".to_owned(), json!({"name": "unknown"}));
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(action: &str, outcome: &str) -> Value {
        let stored = StoredEvent {
            id: "e".into(),
            at: 7,
            user_id: "u".into(),
            action: action.into(),
            subject: "s".into(),
            run_id: Some("r".into()),
            call_id: None,
            outcome: outcome.into(),
            detail: Some("d".into()),
            detail_digest: None,
        };
        event(&stored, Some(3))
    }

    #[test]
    fn each_action_has_its_class_activity_and_status() {
        for (action, outcome, class, activity, status) in [
            ("session.log_in", "refused", 3002, 1, 2),
            ("session.log_out", "ok", 3002, 2, 1),
            ("password.change", "ok", 3001, 3, 1),
            ("account.erase", "ok", 3001, 6, 1),
            ("tool.call", "ok", 6003, 99, 1),
            ("tool.call", "approval_asked", 6003, 99, 99),
            ("group.create", "ok", 3004, 1, 1),
            ("policy.remove", "ok", 3004, 4, 1),
            ("something.new", "ok", 3004, 99, 1),
        ] {
            let event = written(action, outcome);
            let said = ["class_uid", "activity_id", "status_id"].map(|field| event[field].as_u64());
            assert_eq!(said, [Some(class), Some(activity), Some(status)], "{action}");
            assert_eq!(event["type_uid"], class * 100 + activity);
            assert_eq!(event["category_uid"], class / 1000);
        }
    }

    #[test]
    fn everything_that_the_record_says_is_there() {
        let event = written("tool.call", "ok");
        assert_eq!((&event["time"], &event["actor"]["user"]["uid"]), (&json!(7), &json!("u")));
        assert_eq!(event["api"], json!({"operation": "tool.call", "service": {"name": "s"}}));
        assert_eq!(event["unmapped"], json!({"run_id": "r", "call_id": null, "detail": "d"}));
        assert_eq!((&event["metadata"]["sequence"], &event["metadata"]["uid"]), (&json!(3), &json!("e")));
        assert_eq!(written("group.create", "ok")["entity"], json!({"uid": "s", "type": "group"}));
    }
}
