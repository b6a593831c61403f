//! What the image is and what it may do.

use libtest_mimic::Trial;

use crate::engine::{docker, trial};

/// In bytes; what is promised is 15 MB.
const LARGEST: u64 = 15_000_000;

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    [
        trial("image::is_small", is_small),
        trial("image::is_described", is_described),
        trial("image::runs_without_any_right", runs_without_any_right),
    ]
    .into_iter()
}

fn inspect(template: &str) -> String {
    docker(&["image", "inspect", "--format", template, "backstop"])
}

fn is_small() {
    let size: u64 = inspect("{{.Size}}").parse().unwrap();
    assert!(size < LARGEST, "{size} bytes");
}

fn is_described() {
    let version = env!("CARGO_PKG_VERSION");
    let label = |name| inspect(&format!("{{{{index .Config.Labels \"{name}\"}}}}"));
    assert_eq!(label("org.opencontainers.image.title"), "Backstop");
    assert_eq!(label("org.opencontainers.image.version"), version);
    let licenses = label("org.opencontainers.image.licenses");
    assert_eq!(licenses, env!("CARGO_PKG_LICENSE"));
    assert_eq!(inspect("{{.Config.StopSignal}}"), "SIGTERM");
    assert_eq!(inspect("{{.Config.User}}"), "65532:65532");
    let health = inspect("{{json .Config.Healthcheck.Test}}");
    assert!(health.contains("\"healthcheck\""), "{health}");
}

fn runs_without_any_right() {
    let strict = ["--read-only", "--cap-drop=ALL", "--network=none"];
    let run = [&["run", "--rm"], &strict[..], &["backstop", "--version"]];
    let wanted = concat!("backstop ", env!("CARGO_PKG_VERSION"));
    assert_eq!(docker(&run.concat()), wanted);
}
