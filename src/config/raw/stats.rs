//! `[stats]` and who may see it.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::time::Duration;

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;
use toml::de::DeValue;

use super::binds;
use crate::config::check::Secret;
use crate::config::fields::{At, Item, Reader};
use crate::config::hints::Kind;
use crate::config::report::{Problem, Span};
use crate::config::stats::{PageTls, Password, Role};
use crate::config::value::{self, Fault};

mod tls;

/// `[stats]`.
pub(in crate::config) struct RawStats {
    pub(in crate::config) bind: Vec<At<SocketAddr>>,
    pub(in crate::config) uri: Option<String>,
    pub(in crate::config) realm: Option<String>,
    /// A user and what `admin` makes of it.
    pub(in crate::config) auth: Option<At<(String, Secret<String>)>>,
    pub(in crate::config) users: Vec<RawUser>,
    /// Whether `auth` or `users` was given, right or wrong.
    pub(in crate::config) has_users: bool,
    pub(in crate::config) admin: Option<At<bool>>,
    pub(in crate::config) tls: Option<PageTls>,
    pub(in crate::config) refresh: Option<Duration>,
}

/// One entry of `users`.
pub(in crate::config) struct RawUser {
    pub(in crate::config) span: Span,
    pub(in crate::config) name: Option<At<String>>,
    pub(in crate::config) password: Option<Password>,
    pub(in crate::config) role: Option<Role>,
}

const ROLES: [(&str, Role); 2] = [("view", Role::View), ("admin", Role::Admin)];

/// The longest password file that is read, in bytes.
const LONGEST_PASSWORD: u64 = 4096;

/// The most memory that one verification may take, in KiB.
const MOST_MEMORY: u32 = 256 * 1024;

/// The most passes over that memory.
const MOST_PASSES: u32 = 64;

pub(super) fn read(r: &mut Reader<'_>, item: Item<'_>) -> Option<RawStats> {
    let mut fields = r.table(item, Kind::Stats)?;
    let stats = RawStats {
        bind: fields.require(r, "bind", binds).given().unwrap_or_default(),
        uri: fields
            .read("uri", |item| r.parsed(item, value::uri))
            .given()
            .map(|at| at.value),
        realm: fields
            .read("realm", |item| r.parsed(item, value::realm))
            .given()
            .map(|at| at.value),
        has_users: fields.has("auth") || fields.has("users"),
        auth: fields
            .read("auth", |item| r.parsed(item, value::credentials))
            .given(),
        users: fields
            .read("users", |item| users(r, item))
            .given()
            .unwrap_or_default(),
        admin: fields
            .read("admin", |item| {
                let span = item.span;
                r.boolean(item).map(|value| At { value, span })
            })
            .given(),
        tls: fields.read("tls", |item| tls::read(r, item)).given(),
        refresh: fields.read("refresh", |item| refresh(r, item)).given(),
    };
    fields.finish(r);
    Some(stats)
}

/// Browsers count in whole seconds.
fn refresh(r: &mut Reader<'_>, item: Item<'_>) -> Option<Duration> {
    let duration = r.duration(item)?;
    if duration.subsec_nanos() != 0 {
        let problem = Problem::error("`refresh` must be whole seconds").at(item.span);
        r.problems
            .push(problem.help("write a number of seconds, such as \"5s\""));
        return None;
    }
    Some(duration)
}

/// The users, without those that are no tables.
fn users(r: &mut Reader<'_>, item: Item<'_>) -> Option<Vec<RawUser>> {
    let of = "tables such as `{ name = \"ops\", password = \"${OPS_PASSWORD}\" }`";
    let items = r.list(item, of)?;
    Some(items.into_iter().filter_map(|item| user(r, item)).collect())
}

fn user(r: &mut Reader<'_>, item: Item<'_>) -> Option<RawUser> {
    let mut fields = r.table(item, Kind::User)?;
    let name = fields.require(r, "name", |r, item| r.parsed(item, value::user));
    let ways = ["password", "password_hash", "password_file"];
    let given: Vec<_> = ways.into_iter().filter(|way| fields.has(way)).collect();
    let plain = fields.read("password", |item| {
        let text = r.text(item)?;
        Some(Password::Plain(Secret::new(text.value)))
    });
    let hash = fields.read("password_hash", |item| hash(r, item));
    let file = fields.read("password_file", |item| {
        r.parsed(item, from_file).map(|at| at.value)
    });
    let role = fields.read("role", |item| r.choice(item, &ROLES));
    let known = given.len()
        + ["name", "role"]
            .into_iter()
            .filter(|key| fields.has(key))
            .count();
    match given[..] {
        // It is told as an unknown key, which the password may be.
        [] if fields.count() > known => {}
        [] => r.problems.push(
            Problem::error("this user has no password")
                .at(item.span)
                .help("add `password_hash`, `password_file` or `password`"),
        ),
        [_] => {}
        [first, second, ..] => r.problems.push(
            Problem::error(format!("`{first}` and `{second}` exclude each other"))
                .at(fields.place(second).unwrap_or(item.span))
                .help("keep one of them"),
        ),
    }
    fields.finish(r);
    Some(RawUser {
        span: item.span,
        name: name.given(),
        password: plain.given().or(hash.given()).or(file.given()),
        role: role.given(),
    })
}

/// A hash has dollar signs that are no variables, so it stands there as it is, or a variable
/// holds all of it.
fn hash(r: &mut Reader<'_>, item: Item<'_>) -> Option<Password> {
    if let DeValue::String(text) = item.value
        && text.starts_with('$')
        && !text.starts_with("${")
    {
        return match password_hash(text) {
            Ok(hash) => Some(hash),
            Err(fault) => {
                let problem = Problem::error(fault.title).at(item.span);
                r.problems
                    .push(problem.help(fault.help.unwrap_or_default()));
                None
            }
        };
    }
    r.parsed(item, password_hash).map(|at| at.value)
}

/// A hash in the form of the password hashing competition (PHC). No message repeats the text,
/// which is secret.
fn password_hash(text: &str) -> Result<Password, Fault> {
    const HELP: &str = "make one with `backstop hash-password`";
    let fault = |title: &str| Fault::of(title, HELP);
    let hash = PasswordHash::new(text).map_err(|_| fault("this is not an argon2 hash"))?;
    if !hash.algorithm.as_str().starts_with("argon2") {
        return Err(fault("this is not an argon2 hash"));
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(fault("a part of this hash is missing"));
    }
    let params = Params::try_from(&hash).map_err(|_| fault("this is not an argon2 hash"))?;
    if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_PASSES {
        return Err(fault(
            "this hash takes more than 256 MiB or 64 passes to verify",
        ));
    }
    Ok(Password::Hash(Secret::new(Box::new(hash))))
}

/// The password, or its hash, in the first line of a file.
fn from_file(path: &str) -> Result<Password, Fault> {
    let help = "name a file whose first line is the password, or its hash as `backstop \
                hash-password` writes it";
    let text = first_line(path)
        .map_err(|error| Fault::of(format!("this file cannot be read: {error}"), help))?;
    match text.as_str() {
        "" => Err(Fault::of("the first line of this file is empty", help)),
        hash if hash.starts_with("$argon2") => password_hash(hash),
        plain => Ok(Password::Plain(Secret::new(plain.to_owned()))),
    }
}

fn first_line(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(LONGEST_PASSWORD)
        .read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn hashes_that_can_be_verified_are_taken() {
        assert!(matches!(password_hash(HASH), Ok(Password::Hash(_))));
        for wrong in [
            "",
            "hunter2",
            "$2y$05$abcdefghijklmnopqrstuv",
            "$scrypt$ln=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ",
            "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=1000,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let fault = password_hash(wrong).expect_err(wrong);
            assert!(!fault.title.contains("hunter2"), "{fault:?}");
        }
    }
}
