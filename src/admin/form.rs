//! The form that orders are sent in, with the names that HAProxy's page gives its fields
//! (`src/stats-html.c`, `stats_process_http_post`).

use super::orders::{Action, Order, Outcome};
use crate::topology::status::Admin;

/// The order in a form: the servers (`s`, once for each) of a backend (`b`) and the `action`. Of
/// fields that are there twice the last counts. `weight` goes with the action of that name.
///
/// # Errors
/// What becomes of a form without an order in it.
pub fn order(form: &[u8], who: &str) -> Result<Order, Outcome> {
    let mut servers = Vec::new();
    let (mut backend, mut action, mut weight) = (String::new(), String::new(), String::new());
    for (name, value) in form_urlencoded::parse(form) {
        let value = value.into_owned();
        match &*name {
            "s" => servers.push(value),
            "b" => backend = value,
            "action" => action = value,
            "weight" => weight = value,
            _ => {}
        }
    }
    if action.is_empty() || servers.is_empty() {
        return Err(Outcome::Nothing);
    }
    Ok(Order {
        backend,
        servers,
        action: named(&action, &weight).ok_or(Outcome::Error)?,
        who: who.to_owned(),
    })
}

/// The action of that name; those of HAProxy that are missing are not available here.
fn named(action: &str, weight: &str) -> Option<Action> {
    Some(match action {
        "ready" => Action::Admin(Admin::Ready),
        "drain" | "stop" => Action::Admin(Admin::Drain),
        "maint" | "disable" => Action::Admin(Admin::Maintenance),
        "enable" => Action::Enable,
        "start" => Action::Start,
        "ehlth" => Action::Checks(true),
        "dhlth" => Action::Checks(false),
        "hrunn" => Action::Health(true),
        "hdown" => Action::Health(false),
        "arunn" => Action::Agent(true),
        "adown" => Action::Agent(false),
        "weight" => Action::Weight(weight.trim().to_owned()),
        "shutdown" => Action::Shutdown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(form: &str) -> Result<Order, Outcome> {
        order(form.as_bytes(), "ops")
    }

    #[test]
    fn what_haproxys_page_sends_is_understood() {
        let order = read("s=web1&s=web+2%26&action=drain&b=%234").unwrap();
        assert_eq!(order.servers, ["web1", "web 2&"]);
        assert_eq!(order.action, Action::Admin(Admin::Drain));
        assert_eq!((order.backend.as_str(), order.who.as_str()), ("#4", "ops"));
        let weighed = read("s=a&action=weight&weight=50%25&b=bk").unwrap();
        assert_eq!(weighed.action, Action::Weight("50%".into()));
        let last = read("b=one&b=two&s=a&action=drain&action=maint").unwrap();
        assert_eq!(last.backend, "two");
        assert_eq!(last.action, Action::Admin(Admin::Maintenance));
    }

    #[test]
    fn a_form_without_an_order_changes_nothing() {
        for form in ["", "s=a&b=bk", "s=a&b=bk&action=", "action=drain&b=bk"] {
            assert_eq!(read(form), Err(Outcome::Nothing), "{form}");
        }
        for action in ["hnolb", "dagent", "eagent", "Drain", "drain "] {
            let form = format!("s=a&b=bk&action={action}");
            assert_eq!(read(&form), Err(Outcome::Error), "{action}");
        }
    }

    proptest! {
        #[test]
        fn any_form_is_read(bytes: Vec<u8>) {
            let _ = order(&bytes, "ops");
        }
    }
}
