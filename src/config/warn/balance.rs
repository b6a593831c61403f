//! `balance` that leaves servers without work.

use crate::config::raw::RawBackend;
use crate::config::report::Problem;
use crate::config::{BackendConfig, Balance};

/// With `first` a server without `maxconn` leaves nothing to those after it (configuration.txt,
/// "balance": "it does not make sense to use this algorithm without setting maxconn").
pub(super) fn check(raw: &RawBackend, backend: &BackendConfig, warnings: &mut Vec<Problem>) {
    if backend.balance != Balance::First {
        return;
    }
    let primaries = backend.servers.iter().zip(&raw.servers);
    let mut primaries = primaries.filter(|(server, _)| !server.backup && server.weight > 0);
    let endless = primaries.find(|(server, _)| server.maxconn.is_none());
    let (Some((server, raw)), Some((next, _))) = (endless, primaries.next()) else {
        return;
    };
    let title = format!(
        "server `{}` of backend `{}` has no `maxconn`, so `first` never comes to `{}`",
        server.name, backend.name, next.name
    );
    let problem = Problem::warning(title)
        .at(raw.span)
        .label("this takes every session");
    warnings.push(problem.help("add `maxconn = 100` here, or write another `balance`"));
}
