//! `[hooks.NAME]`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::PathAndQuery;
use toml::de::DeValue;

use super::check::forms;
use crate::config::check::{Secret, TlsConfig};
use crate::config::fields::{At, Fields, Item, Reader, entries, one_or_list};
use crate::config::hints::Kind;
use crate::config::hook::{EVENT_KINDS, HookAction, HookProgram, STATES, Webhook, WebhookUrl};
use crate::config::report::Problem;
use crate::config::value::Fault;

/// What hooks themselves lead to, which no hook runs on: they would never come to an end.
const OF_HOOKS: [&str; 2] = ["hook_succeeded", "hook_failed"];

/// `[hooks.NAME]`, with names that are not looked up yet.
pub(in crate::config) struct RawHook {
    pub(in crate::config) name: String,
    pub(in crate::config) kinds: Vec<&'static str>,
    pub(in crate::config) states: Vec<&'static str>,
    pub(in crate::config) frontends: Vec<At<String>>,
    pub(in crate::config) backends: Vec<At<String>>,
    pub(in crate::config) servers: Vec<At<String>>,
    pub(in crate::config) action: Option<HookAction>,
    pub(in crate::config) debounce: Duration,
    pub(in crate::config) timeout: Duration,
    pub(in crate::config) retries: u32,
    pub(in crate::config) concurrency: usize,
    pub(in crate::config) queue: usize,
}

pub(super) fn hook(r: &mut Reader<'_>, name: At<String>, item: Item<'_>) -> Option<RawHook> {
    let mut fields = r.table(item, Kind::Hook)?;
    let kinds = fields.read("events", |item| words(r, item, &EVENT_KINDS));
    let states = fields.read("states", |item| words(r, item, &STATES));
    let mut names = |r: &mut Reader<'_>, key| {
        let read = fields.read(key, |item| Some(strings(r, item)));
        read.given().unwrap_or_default()
    };
    let (frontends, backends) = (names(r, "frontends"), names(r, "backends"));
    let servers = names(r, "servers");
    let action = action(r, &mut fields, &item);
    let webhook = matches!(action, Some(HookAction::Webhook(_)));
    let debounce = fields.read("debounce", |item| r.duration_or_zero(item));
    let timeout = fields.read("timeout", |item| r.duration(item)).given();
    let mut number = |key, range: RangeInclusive<u64>, usual: u64| {
        let read = fields.read(key, |item| r.number(item, range)).given();
        read.map_or(usual, |at| at.value)
    };
    let retries = number("retries", 0..=100, if webhook { 3 } else { 0 });
    let concurrency = number("concurrency", 1..=32, 1);
    let queue = number("queue", 1..=10_000, 100);
    fields.finish(r);
    Some(RawHook {
        name: name.value,
        kinds: kinds.given().unwrap_or_default(),
        states: states.given().unwrap_or_default(),
        frontends,
        backends,
        servers,
        action,
        debounce: debounce.given().map(|at| at.value).unwrap_or_default(),
        timeout: timeout.unwrap_or(Duration::from_secs(if webhook { 5 } else { 30 })),
        retries: retries as u32,
        concurrency: concurrency as usize,
        queue: queue as usize,
    })
}

/// One or more of a few words.
fn words(r: &mut Reader<'_>, item: Item<'_>, known: &[&'static str]) -> Option<Vec<&'static str>> {
    let choices: Vec<_> = known
        .iter()
        .filter(|word| !OF_HOOKS.contains(word))
        .map(|&word| (word, word))
        .collect();
    let items = one_or_list(item);
    if items.is_empty() {
        let problem = Problem::error(format!("`{}` is an empty list", item.key)).at(item.span);
        r.problems.push(problem.help("leave it out if any will do"));
        return None;
    }
    Some(
        items
            .into_iter()
            .filter_map(|item| word(r, item, &choices))
            .collect(),
    )
}

fn word(
    r: &mut Reader<'_>,
    item: Item<'_>,
    choices: &[(&str, &'static str)],
) -> Option<&'static str> {
    if let DeValue::String(word) = item.value
        && OF_HOOKS.contains(&&**word)
    {
        let title = format!("a hook cannot run on {word:?}");
        let problem = Problem::error(title).at(item.span);
        r.problems
            .push(problem.help("hooks that run on what hooks did would never come to an end"));
        return None;
    }
    r.choice(item, choices)
}

/// One or more strings; whether they name something is looked up later.
fn strings(r: &mut Reader<'_>, item: Item<'_>) -> Vec<At<String>> {
    let items = one_or_list(item).into_iter();
    items
        .filter_map(|item| r.parsed(item, |text| Ok(text.to_owned())))
        .collect()
}

/// What is done: a program's or a webhook's keys, and not of both.
fn action(r: &mut Reader<'_>, fields: &mut Fields<'_>, hook: &Item<'_>) -> Option<HookAction> {
    let command = fields.read("command", |item| r.parsed(item, forms::no_zero_byte));
    let arguments = fields.read("arguments", |item| forms::arguments(r, item));
    let environment = fields.read("environment", |item| environment(r, item));
    let url = fields.read("url", |item| r.parsed(item, url));
    let headers = fields.read("headers", |item| forms::headers(r, item));
    let verify = fields.read("verify", |item| r.boolean(item));
    let ca = fields.read("ca", |item| r.parsed(item, forms::ca_file));
    match (fields.place("command"), fields.place("url")) {
        (None, None) => {
            let problem = Problem::error("this hook does nothing").at(hook.span);
            r.problems.push(problem.help(
                "add `command = \"/usr/local/bin/on-failover\"`, or `url = \"https://…\"` to post \
                 events to",
            ));
            return None;
        }
        (Some(command), Some(url)) => {
            let problem = Problem::error("a hook has `command` or `url`, not both").at(url);
            let problem = problem.related(command, "what it does already");
            r.problems.push(problem.help("make two hooks"));
            return None;
        }
        (Some(_), None) => misplaced(r, fields, &["headers", "verify", "ca"], "url"),
        (None, Some(_)) => misplaced(r, fields, &["arguments", "environment"], "command"),
    }
    if let Some(command) = command.given() {
        return Some(HookAction::Program(HookProgram {
            command: PathBuf::from(command.value),
            arguments: arguments.given().unwrap_or_default(),
            environment: environment.given().unwrap_or_default(),
        }));
    }
    let url = url.given()?.value;
    if !url.https {
        misplaced(r, fields, &["verify", "ca"], "https://");
    }
    let tls = url.https.then(|| TlsConfig {
        verify: verify.given().unwrap_or(true),
        ca: ca.given().map(|ca| ca.value),
        sni: None,
    });
    Some(HookAction::Webhook(Box::new(Webhook {
        url,
        headers: headers.given().unwrap_or_default(),
        tls,
    })))
}

/// Records each of `keys` that stands there, where it is of no use.
fn misplaced(r: &mut Reader<'_>, fields: &Fields<'_>, keys: &[&str], without: &str) {
    for key in keys {
        if let Some(span) = fields.place(key) {
            let title = format!("`{key}` is of no use without `{without}`");
            r.problems
                .push(Problem::error(title).at(span).help("remove it"));
        }
    }
}

fn environment(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<(String, Secret<String>)>> {
    let DeValue::Table(table) = item.value else {
        return r.wrong_type(
            item,
            "a table such as `{ REDISCLI_AUTH = \"${PASSWORD}\" }`",
        );
    };
    let mut variables = Vec::new();
    for item in entries(table) {
        if item.key.is_empty() || item.key.contains(['=', '\0']) {
            let title = format!("{:?} is not the name of a variable", item.key);
            r.problems.push(Problem::error(title).at(item.key_span));
        } else if item.key.starts_with("BACKSTOP_") {
            let title = format!("`{}` is a name that the event's own facts have", item.key);
            let problem = Problem::error(title).at(item.key_span);
            r.problems
                .push(problem.help("choose a name that does not begin with `BACKSTOP_`"));
        } else if let Some(text) = r.any_text(item) {
            match forms::no_zero_byte(&text.value) {
                Ok(value) => variables.push((item.key.to_owned(), Secret::new(value))),
                Err(fault) => r.fault(&text, fault).unwrap_or_default(),
            }
        }
    }
    Some(variables)
}

/// `http://…` or `https://…`. No message repeats the text, which may be secret.
fn url(text: &str) -> Result<WebhookUrl, Fault> {
    let fault = |title: &str| Fault {
        title: title.to_owned(),
        help: Some("write a URL such as \"https://hooks.example.org/backstop\"".to_owned()),
        range: None,
    };
    let uri: Uri = text.parse().map_err(|_| fault("this is not a URL"))?;
    let https = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(fault("a URL begins with `http://` or `https://`")),
    };
    let authority = uri
        .authority()
        .ok_or_else(|| fault("there is no host in this URL"))?;
    if authority.host().is_empty()
        || authority.port().is_some() && uri.port_u16().is_none_or(|port| port == 0)
    {
        return Err(fault("there is no host and port in this URL"));
    }
    if authority.as_str().contains('@') {
        let help = "write the password into a header: `headers = { Authorization = \"Basic …\" }`";
        return Err(Fault {
            help: Some(help.to_owned()),
            ..fault("a user and password may not stand in this URL")
        });
    }
    let path = uri.path_and_query().cloned();
    Ok(WebhookUrl {
        https,
        authority: authority.clone(),
        path: Secret::new(path.unwrap_or_else(|| PathAndQuery::from_static("/"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let good = url("https://hooks.example:8443/a?b=c").unwrap();
        assert!(good.https);
        assert_eq!((good.host(), good.port()), ("hooks.example", 8443));
        assert_eq!(good.path.reveal().as_str(), "/a?b=c");
        let six = url("http://[::1]").unwrap();
        assert_eq!((six.host(), six.port()), ("::1", 80));
        assert_eq!(six.path.reveal().as_str(), "/");
        for wrong in [
            "",
            "hooks.example",
            "ftp://x/",
            "http:///x",
            "https://u:p@x/",
            "/x",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_message_and_no_debug_form_repeats_a_secret_path() {
        let shown = format!("{:?}", url("https://hooks.example/sesame").unwrap());
        assert_eq!(shown, "https://hooks.example/…");
        let fault = url("https://user:sesame@hooks.example/").unwrap_err();
        assert!(!format!("{fault:?}").contains("sesame"));
    }
}
