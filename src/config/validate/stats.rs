//! Who may see the stats page, and who may change servers there.

use crate::config::raw::{RawStats, RawUser};
use crate::config::report::{Problem, Span};
use crate::config::stats::{Password, Role, StatsConfig, User};

pub(super) fn build(raw: &RawStats, problems: &mut Vec<Problem>) -> StatsConfig {
    let admin = raw.admin.as_ref().is_some_and(|admin| admin.value);
    let users = users(raw, admin, problems);
    if let Some(wanted) = raw.admin.as_ref().filter(|admin| admin.value)
        && !users.iter().any(|user| user.role == Role::Admin)
        && !has_broken_users(raw)
    {
        let problem = Problem::error("`admin` needs a user who may change servers");
        let help = if raw.has_users {
            "give a user `role = \"admin\"`"
        } else {
            "add `auth = \"admin:${STATS_PASSWORD}\"`, or `users`"
        };
        problems.push(problem.at(wanted.span).help(help));
    }
    StatsConfig {
        bind: raw.bind.iter().map(|bind| bind.value).collect(),
        uri: raw.uri.clone().unwrap_or_else(|| "/".to_owned()),
        realm: raw
            .realm
            .clone()
            .unwrap_or_else(|| "HAProxy Statistics".to_owned()),
        users,
        admin,
        tls: raw.tls.clone(),
        refresh: raw.refresh,
    }
}

/// Whether somebody who could have the role was told of already.
fn has_broken_users(raw: &RawStats) -> bool {
    let broken = |user: &RawUser| user.name.is_none() || user.password.is_none();
    raw.has_users && (raw.users.is_empty() && raw.auth.is_none() || raw.users.iter().any(broken))
}

/// The user of `auth`, who may do all there is, and then those of `users`.
fn users(raw: &RawStats, admin: bool, problems: &mut Vec<Problem>) -> Vec<User> {
    let mut users = Vec::new();
    let mut places: Vec<Span> = Vec::new();
    if let Some(auth) = &raw.auth {
        let (name, password) = auth.value.clone();
        users.push(User {
            name,
            password: Password::Plain(password),
            role: if admin { Role::Admin } else { Role::View },
        });
        places.push(auth.span);
    }
    for user in &raw.users {
        let (Some(name), Some(password)) = (&user.name, &user.password) else {
            continue;
        };
        if let Some(first) = users.iter().position(|user: &User| user.name == name.value) {
            let problem = Problem::error(format!("there are two users called `{}`", name.value));
            problems.push(
                problem
                    .at(name.span)
                    .related(places[first], "the first one"),
            );
            continue;
        }
        users.push(User {
            name: name.value.clone(),
            password: password.clone(),
            role: user.role.unwrap_or(Role::View),
        });
        places.push(name.span);
    }
    users
}
