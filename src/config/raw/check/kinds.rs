//! The types of checks and the settings of each.

use std::path::PathBuf;

use super::{forms, steps};
use crate::config::check::{
    CaFile, CheckKind, ExternalCheck, HttpCheck, MysqlCheck, PostgresCheck, PostgresRole,
    RedisCheck, RedisRole, Secret, SmtpCheck, TlsConfig,
};
use crate::config::fields::{Field, Fields, Item, Reader};
use crate::config::report::{Problem, Span};

/// A word of `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Tcp,
    Http,
    Redis,
    Postgres,
    Mysql,
    Smtp,
    Ldap,
    TlsHello,
    External,
}

const TYPES: [(&str, Type); 9] = [
    ("tcp", Type::Tcp),
    ("http", Type::Http),
    ("redis", Type::Redis),
    ("postgres", Type::Postgres),
    ("mysql", Type::Mysql),
    ("smtp", Type::Smtp),
    ("ldap", Type::Ldap),
    ("tls-hello", Type::TlsHello),
    ("external", Type::External),
];

const OVER_TLS: &[Type] = &[
    Type::Tcp,
    Type::Http,
    Type::Redis,
    Type::Postgres,
    Type::Mysql,
    Type::Smtp,
    Type::Ldap,
];

/// `sni` is for all over TLS and for the hello, too.
const WITH_SNI: &[Type] = &[
    Type::Tcp,
    Type::Http,
    Type::Redis,
    Type::Postgres,
    Type::Mysql,
    Type::Smtp,
    Type::Ldap,
    Type::TlsHello,
];

/// The settings that not every type has, and the types that have them.
const SETTINGS: [(&str, &[Type]); 20] = [
    ("steps", &[Type::Tcp]),
    ("method", &[Type::Http]),
    ("path", &[Type::Http]),
    ("host", &[Type::Http]),
    ("headers", &[Type::Http]),
    ("status", &[Type::Http]),
    ("body_contains", &[Type::Http]),
    ("role", &[Type::Redis, Type::Postgres]),
    ("user", &[Type::Redis, Type::Postgres, Type::Mysql]),
    ("password", &[Type::Redis, Type::Postgres, Type::Mysql]),
    ("cluster", &[Type::Redis]),
    ("database", &[Type::Postgres]),
    ("read_only", &[Type::Mysql]),
    ("domain", &[Type::Smtp]),
    ("command", &[Type::External]),
    ("arguments", &[Type::External]),
    ("tls", OVER_TLS),
    ("verify", OVER_TLS),
    ("ca", OVER_TLS),
    ("sni", WITH_SNI),
];

/// The type and its settings; `None` if none is given, or something about them is wrong.
pub(super) fn kind(r: &mut Reader<'_>, fields: &mut Fields<'_>) -> Option<CheckKind> {
    let written = fields.read("type", |item| r.choice(item, &TYPES));
    let chosen = match written {
        Field::Given(chosen) => Some(chosen),
        // Steps without a type can only mean TCP.
        Field::Absent if fields.has("steps") => Some(Type::Tcp),
        Field::Absent | Field::Broken => None,
    };
    // Without a type one complaint is enough, and none is needed about a wrong type's settings.
    let mut silent = matches!(written, Field::Broken);
    for (key, types) in SETTINGS {
        if chosen.is_none_or(|chosen| !types.contains(&chosen)) {
            fields.read(key, |item| {
                if !silent {
                    r.problems.push(misplaced(item, types, chosen));
                    silent = chosen.is_none();
                }
                None::<()>
            });
        }
    }
    let mut settings = Settings { r, fields };
    Some(match chosen? {
        Type::Tcp => CheckKind::Tcp {
            steps: settings.read("steps", steps::steps).unwrap_or_default(),
            tls: settings.tls(),
        },
        Type::Http => CheckKind::Http(settings.http()),
        Type::Redis => CheckKind::Redis(settings.redis()),
        Type::Postgres => CheckKind::Postgres(settings.postgres()?),
        Type::Mysql => CheckKind::Mysql(settings.mysql()),
        Type::Smtp => CheckKind::Smtp(settings.smtp()),
        Type::Ldap => CheckKind::Ldap {
            tls: settings.tls(),
        },
        Type::TlsHello => CheckKind::TlsHello {
            sni: settings.parsed("sni", forms::server_name),
        },
        Type::External => CheckKind::External(settings.external()?),
    })
}

fn misplaced(item: Item<'_>, types: &[Type], chosen: Option<Type>) -> Problem {
    let word = |wanted: Type| {
        TYPES
            .iter()
            .find(|(_, kind)| *kind == wanted)
            .map_or("", |t| t.0)
    };
    let words: Vec<_> = types
        .iter()
        .map(|&kind| format!("{:?}", word(kind)))
        .collect();
    let words = match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    };
    let key = item.key;
    let title = match chosen {
        Some(chosen) => format!("`{key}` is not for checks of type {:?}", word(chosen)),
        None => format!("`{key}` needs the check's `type` beside it"),
    };
    let more = match chosen {
        Some(_) => "",
        None => "; a type and its settings stand in one table",
    };
    Problem::error(title)
        .at(item.key_span)
        .help(format!("`{key}` is for type {words}{more}"))
}

/// Reads the settings of one type.
struct Settings<'s, 'r, 't> {
    r: &'s mut Reader<'r>,
    fields: &'s mut Fields<'t>,
}

impl<'t> Settings<'_, '_, 't> {
    fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'_>, Item<'t>) -> Option<T>,
    ) -> Option<T> {
        self.fields.read(key, |item| read(self.r, item)).given()
    }

    fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, crate::config::value::Fault>,
    ) -> Option<T> {
        self.read(key, |r, item| r.parsed(item, parse))
            .map(|at| at.value)
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        self.read(key, |r, item| r.text(item))
            .map(|text| text.value)
    }

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.read(key, |r, item| r.boolean(item))
    }

    fn password(&mut self) -> Option<Secret<String>> {
        self.text("password").map(Secret::new)
    }

    /// Records that `key` is of no use without `other`.
    fn needs(&mut self, key: &str, other: &str, span: Option<Span>) {
        if let Some(span) = span {
            let problem = Problem::error(format!("`{key}` is of no use without `{other}`"));
            self.r.problems.push(
                problem
                    .at(span)
                    .help(format!("add `{other}`, or remove `{key}`")),
            );
        }
    }

    fn tls(&mut self) -> Option<TlsConfig> {
        let on = self.flag("tls") == Some(true);
        let verify = self.flag("verify");
        let ca: Option<CaFile> = self.parsed("ca", forms::ca_file);
        let sni = self.parsed("sni", forms::server_name);
        if on {
            let contradiction = self.fields.place("ca").filter(|_| verify == Some(false));
            if let Some(span) = contradiction {
                let problem = Problem::error("`ca` is of no use with `verify = false`").at(span);
                self.r.problems.push(problem.help("remove one of the two"));
            }
            return Some(TlsConfig {
                verify: verify.unwrap_or(true),
                ca,
                sni,
            });
        }
        for key in ["verify", "ca", "sni"] {
            let span = self.fields.place(key);
            self.needs(key, "tls = true", span);
        }
        None
    }

    fn http(&mut self) -> HttpCheck {
        let standard = HttpCheck::default();
        HttpCheck {
            method: self
                .parsed("method", forms::method)
                .unwrap_or(standard.method),
            path: self.parsed("path", forms::path).unwrap_or(standard.path),
            host: self.parsed("host", forms::host_header),
            headers: self.read("headers", forms::headers).unwrap_or_default(),
            status: self
                .read("status", forms::statuses)
                .unwrap_or(standard.status),
            body_contains: self.text("body_contains"),
            tls: self.tls(),
        }
    }

    fn redis(&mut self) -> RedisCheck {
        const ROLES: [(&str, RedisRole); 3] = [
            ("any", RedisRole::Any),
            ("master", RedisRole::Master),
            ("replica", RedisRole::Replica),
        ];
        let user = self.text("user");
        let password = self.password();
        if user.is_some() && !self.fields.has("password") {
            let span = self.fields.place("user");
            self.needs("user", "password", span);
        }
        RedisCheck {
            role: self
                .read("role", |r, item| r.choice(item, &ROLES))
                .unwrap_or_default(),
            user,
            password,
            cluster: self.flag("cluster").unwrap_or(false),
            tls: self.tls(),
        }
    }

    fn postgres(&mut self) -> Option<PostgresCheck> {
        const ROLES: [(&str, PostgresRole); 3] = [
            ("any", PostgresRole::Any),
            ("primary", PostgresRole::Primary),
            ("replica", PostgresRole::Replica),
        ];
        let user = self
            .fields
            .require(self.r, "user", |r, item| r.text(item))
            .given();
        let check = PostgresCheck {
            role: self
                .read("role", |r, item| r.choice(item, &ROLES))
                .unwrap_or_default(),
            user: String::new(),
            password: self.password(),
            database: self
                .text("database")
                .unwrap_or_else(|| "postgres".to_owned()),
            tls: self.tls(),
        };
        let user = user?.value;
        Some(PostgresCheck { user, ..check })
    }

    fn mysql(&mut self) -> MysqlCheck {
        let check = MysqlCheck {
            user: self.parsed("user", forms::no_zero_byte),
            password: self
                .read("password", |r, item| r.parsed(item, forms::no_zero_byte))
                .map(|at| Secret::new(at.value)),
            read_only: self.flag("read_only"),
            tls: self.tls(),
        };
        if !self.fields.has("user") {
            for key in ["password", "read_only", "tls"] {
                let span = self.fields.place(key);
                self.needs(key, "user", span);
            }
        }
        check
    }

    fn smtp(&mut self) -> SmtpCheck {
        let domain = self.parsed("domain", forms::domain);
        SmtpCheck {
            domain: domain.unwrap_or_else(|| "localhost".to_owned()),
            tls: self.tls(),
        }
    }

    fn external(&mut self) -> Option<ExternalCheck> {
        let command = self.fields.require(self.r, "command", |r, item| {
            r.parsed(item, forms::no_zero_byte)
        });
        let arguments = self.read("arguments", forms::arguments).unwrap_or_default();
        Some(ExternalCheck {
            command: PathBuf::from(command.given()?.value),
            arguments,
        })
    }
}
