use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use proptest::prelude::*;

use super::*;
use crate::config::check;
use crate::config::stats::{Password, User as Configured};
use crate::topology::sample::settings;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn plain(name: &str, password: &str, role: Role) -> Configured {
    Configured {
        name: name.into(),
        password: Password::Plain(check::Secret::new(password.into())),
        role,
    }
}

/// As cheap as there is.
fn hashed(name: &str, password: &str, role: Role) -> Configured {
    let params = Params::new(64, 1, 1, None).unwrap();
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon.hash_password(password.as_bytes()).unwrap();
    Configured {
        password: Password::Hash(check::Secret::new(Box::new(hash))),
        ..plain(name, "", role)
    }
}

fn gate(users: Vec<Configured>) -> Gate {
    Gate::new(&StatsConfig {
        users,
        admin: true,
        ..settings()
    })
}

fn one() -> Gate {
    gate(vec![plain("admin", "se:cret", Role::View)])
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn judge(gate: &Gate, header: &str) -> Verdict {
    let header = HeaderValue::from_str(header).unwrap();
    block_on(gate.judge(Some(&header), HERE))
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn let_in(name: &str, may_change: bool) -> Verdict {
    Verdict::Allowed(Visitor {
        name: Some(name.into()),
        may_change,
    })
}

#[test]
fn the_right_pair_is_let_in() {
    assert_eq!(
        judge(&one(), &basic("admin:se:cret")),
        let_in("admin", false)
    );
}

#[test]
fn the_scheme_is_matched_whatever_its_case() {
    let encoded = STANDARD.encode("admin:se:cret");
    for header in [format!("bAsIc {encoded}"), format!("Basic   {encoded} ")] {
        assert_eq!(judge(&one(), &header), let_in("admin", false));
    }
}

#[test]
fn a_wrong_pair_is_kept_out() {
    for pair in [
        "admin:se:cre",
        "admin:se:crett",
        "admin:",
        ":se:cret",
        "Admin:se:cret",
        "admin",
        "",
        ":",
    ] {
        assert_eq!(judge(&one(), &basic(pair)), Verdict::Wrong, "{pair:?}");
    }
}

#[test]
fn garbage_is_kept_out() {
    let encoded = STANDARD.encode("admin:se:cret");
    let headers = [
        String::new(),
        "Basic".into(),
        "Basic ".into(),
        "Basic *".into(),
        encoded.clone(),
        format!("Basic{encoded}"),
        format!("Bearer {encoded}"),
        format!("Basic {encoded} {encoded}"),
    ];
    for header in headers {
        assert_eq!(judge(&one(), &header), Verdict::Wrong, "{header:?}");
    }
}

#[test]
fn nothing_offered_is_not_the_same_as_wrong() {
    let nothing = block_on(one().judge(None, HERE));
    assert_eq!(nothing, Verdict::NothingOffered);
}

#[test]
fn without_users_everybody_is_let_in_and_nobody_may_change_anything() {
    let open = gate(Vec::new());
    let anyone = Verdict::Allowed(Visitor::ANYONE);
    assert_eq!(block_on(open.judge(None, HERE)), anyone);
    assert_eq!(judge(&open, "Basic *"), anyone);
}

#[test]
fn each_user_has_a_password_and_a_role() {
    let gate = gate(vec![
        plain("wall", "look", Role::View),
        hashed("ops", "steer", Role::Admin),
        hashed("night", "watch", Role::View),
    ]);
    for _ in 0..2 {
        assert_eq!(judge(&gate, &basic("wall:look")), let_in("wall", false));
        assert_eq!(judge(&gate, &basic("ops:steer")), let_in("ops", true));
        assert_eq!(judge(&gate, &basic("night:watch")), let_in("night", false));
        for pair in [
            "wall:steer",
            "ops:look",
            "ops:watch",
            "night:steer",
            "nobody:steer",
        ] {
            assert_eq!(judge(&gate, &basic(pair)), Verdict::Wrong, "{pair}");
        }
    }
}

#[test]
fn roles_count_only_where_the_page_may_change_anything() {
    let gate = Gate::new(&StatsConfig {
        users: vec![plain("ops", "steer", Role::Admin)],
        ..settings()
    });
    assert_eq!(judge(&gate, &basic("ops:steer")), let_in("ops", false));
}

#[test]
fn a_right_password_is_verified_once() {
    let gate = gate(vec![hashed("ops", "steer", Role::Admin)]);
    let secret = &gate.users[0].secret;
    assert!(!gate.verifier.knows(secret, b"steer"));
    assert_eq!(judge(&gate, &basic("ops:steer")), let_in("ops", true));
    assert!(gate.verifier.knows(secret, b"steer"));
    assert!(!gate.verifier.knows(secret, b"steeR"));
}

#[test]
fn after_too_many_wrong_tries_even_the_right_password_has_to_wait() {
    let gate = gate(vec![hashed("ops", "steer", Role::Admin)]);
    assert_eq!(judge(&gate, &basic("ops:steer")), let_in("ops", true));
    while judge(&gate, &basic("ops:guess")) == Verdict::Wrong {}
    let verdict = judge(&gate, &basic("ops:steer"));
    assert!(matches!(verdict, Verdict::TooMany(_)), "{verdict:?}");
    let header = HeaderValue::from_str(&basic("ops:steer")).unwrap();
    let elsewhere = block_on(gate.judge(Some(&header), [192, 0, 2, 1].into()));
    assert_eq!(elsewhere, let_in("ops", true));
}

#[test]
fn no_password_is_shown_by_debug() {
    let users = vec![
        plain("a", "hunter2", Role::View),
        hashed("b", "hunter2", Role::View),
    ];
    let shown = format!("{users:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("argon2"),
        "{shown}"
    );
}

#[test]
fn the_realm_cannot_break_out_of_its_quotes() {
    let shown = challenge("a\"b\\c\r\nd");
    assert_eq!(
        shown.as_bytes(),
        br#"Basic realm="a\"b\\c  d", charset="UTF-8""#
    );
    assert!(
        challenge("통계")
            .as_bytes()
            .starts_with("Basic realm=\"통계".as_bytes())
    );
}

proptest! {
    #[test]
    fn no_other_pair_is_let_in(user: String, password: String) {
        let pair = format!("{user}:{password}");
        let verdict = judge(&one(), &basic(&pair));
        let right = pair == "admin:se:cret";
        prop_assert_eq!(verdict == let_in("admin", false), right);
    }

    #[test]
    fn any_header_is_judged(bytes: Vec<u8>) {
        if let Ok(header) = HeaderValue::from_bytes(&bytes) {
            let verdict = block_on(one().judge(Some(&header), HERE));
            prop_assert_eq!(verdict, Verdict::Wrong);
        }
    }
}
