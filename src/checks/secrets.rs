//! Secrets of a check in what it found: a server that is not what it should be may send back what
//! it was sent, and evidence goes to logs and pages.

use crate::config::check::{Secret, TcpStep};
use crate::config::{CheckConfig, CheckKind};

/// What stands in a secret's place.
const MASK: &str = "***";

/// Part of a secret that is masked too, in characters, where evidence was cut short.
const LEAST: usize = 4;

/// What must not be shown of a check, as evidence would show it.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Passwords and tokens, of which a part is as bad.
    passwords: Vec<String>,
    /// Lines that are sent, which may hold a password.
    lines: Vec<String>,
}

impl Secrets {
    /// All that `check` sends and that may be secret.
    pub(super) fn of(check: &CheckConfig) -> Self {
        let mut secrets = Self::default();
        match &check.kind {
            CheckKind::Tcp { steps, .. } => {
                for step in steps {
                    if let TcpStep::Send(bytes) = step {
                        let lines = bytes.reveal().split(|byte| matches!(byte, b'\r' | b'\n'));
                        secrets.lines.extend(lines.map(shown));
                    }
                }
            }
            CheckKind::Http(check) => {
                let values = check.headers.values().filter(|value| value.is_sensitive());
                secrets
                    .lines
                    .extend(values.map(|value| shown(value.as_bytes())));
            }
            CheckKind::Redis(check) => secrets.password(check.password.as_ref()),
            CheckKind::Postgres(check) => secrets.password(check.password.as_ref()),
            CheckKind::Mysql(check) => secrets.password(check.password.as_ref()),
            CheckKind::Smtp(_)
            | CheckKind::Ldap { .. }
            | CheckKind::TlsHello { .. }
            | CheckKind::External(_) => {}
        }
        secrets.lines.retain(|line| line.len() >= LEAST);
        secrets
    }

    fn password(&mut self, password: Option<&Secret<String>>) {
        if let Some(password) = password.map(Secret::reveal) {
            self.passwords.push(password.clone());
            // The other form in which evidence shows bytes.
            self.passwords.push(shown(password.as_bytes()));
        }
    }

    /// `info` without them.
    pub(super) fn mask(&self, info: String) -> String {
        let mut info = info;
        for line in &self.lines {
            replace(&mut info, line);
        }
        for password in &self.passwords {
            replace(&mut info, password);
            for part in (LEAST..password.len()).rev() {
                if info.contains(MASK) {
                    break;
                }
                if let Some(part) = password.get(..part) {
                    replace(&mut info, part);
                }
            }
        }
        info
    }
}

fn replace(info: &mut String, secret: &str) {
    if info.contains(secret) {
        *info = info.replace(secret, MASK);
    }
}

/// As evidence shows bytes (see `finding`), which leaves only ASCII.
fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::RedisCheck;

    fn redis(password: &str) -> Secrets {
        Secrets::of(&CheckConfig {
            kind: CheckKind::Redis(RedisCheck {
                password: Some(Secret::new(password.to_owned())),
                ..RedisCheck::default()
            }),
            ..CheckConfig::default()
        })
    }

    #[test]
    fn a_password_that_comes_back_is_masked_also_when_it_was_cut() {
        let secrets = redis("hunter2");
        let mask = |info: &str| secrets.mask(info.to_owned());
        assert_eq!(
            mask("not an answer: AUTH hunter2"),
            "not an answer: AUTH ***"
        );
        assert_eq!(
            mask("not an answer: AUTH hunte…"),
            "not an answer: AUTH ***…"
        );
        assert_eq!(mask("Connection refused"), "Connection refused");
        assert_eq!(redis("a\"b").mask("x a\\\"b".to_owned()), "x ***");
    }

    #[test]
    fn a_line_that_was_sent_is_masked() {
        let steps = vec![
            TcpStep::Send(Secret::new(b"AUTH hunter2\r\nGO\r\n".to_vec())),
            TcpStep::Expect(b"+OK".to_vec()),
        ];
        let kind = CheckKind::Tcp { steps, tls: None };
        let check = CheckConfig {
            kind,
            ..CheckConfig::default()
        };
        let info = "the answer was \"AUTH hunter2\\r\\nGO\"".to_owned();
        assert_eq!(
            Secrets::of(&check).mask(info),
            "the answer was \"***\\r\\nGO\""
        );
    }
}
