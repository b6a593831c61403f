//! What a test needs of the machine, and what happens when it is not there.

use std::env;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;

pub(crate) use crate::harness::installed::find;

/// Where Debian has nginx's stream module, which is a package of its own.
pub(crate) const NGINX_STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Something that not every machine has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// An installed program.
    Program(&'static str),
    /// nginx that forwards TCP, by a module or built with it.
    NginxStream,
    /// The address `::1`.
    Ipv6,
    /// To be root.
    Root,
}

impl Need {
    /// Why the need is not met; `None` if it is.
    fn missing(self) -> Option<String> {
        match self {
            Self::Program(name) => find(name).is_none().then(|| format!("no {name} here")),
            Self::NginxStream => {
                (!nginx_has_stream()).then(|| "no nginx with stream here".to_owned())
            }
            Self::Root => (!rustix::process::geteuid().is_root()).then(|| "not root".to_owned()),
            Self::Ipv6 => TcpListener::bind("[::1]:0")
                .is_err()
                .then(|| "no IPv6 here".to_owned()),
        }
    }
}

fn nginx_has_stream() -> bool {
    let built_with = find("nginx").and_then(|nginx| Command::new(nginx).arg("-V").output().ok());
    built_with.is_some_and(|output| {
        let words = String::from_utf8_lossy(&output.stderr);
        Path::new(NGINX_STREAM_MODULE).exists()
            || words.split_whitespace().any(|word| word == "--with-stream")
    })
}

/// A test that runs if all it needs is there, and is ignored otherwise, or fails if all tests
/// are required.
pub(crate) fn trial(name: &str, needs: &[Need], test: fn()) -> Trial {
    let Some(reason) = needs.iter().find_map(|need| need.missing()) else {
        return Trial::test(name, move || {
            test();
            Ok(())
        });
    };
    if env::var_os("BACKSTOP_REQUIRE_REAL").is_some_and(|value| value == "1") {
        return Trial::test(name, move || Err(reason.into()));
    }
    Trial::test(name, || Ok(()))
        .with_kind(reason)
        .with_ignored_flag(true)
}
