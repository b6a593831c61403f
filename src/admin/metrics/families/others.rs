//! What HAProxy does not have.

use std::collections::BTreeSet;
use std::fmt;

use super::{counter, flag, gauge};
use crate::admin::Running;
use crate::admin::metrics::Value::Whole;
use crate::admin::metrics::{Family, Of, Samples};
use crate::explain::Routes;
use crate::log;
use crate::topology::admission::Resource;
use crate::topology::guard::Refusal;

pub(super) const OTHERS: &[Family] = &[
    gauge(
        "backstop_build_info",
        "1, with the version of the program.",
        Of::Others(|_, samples| samples.put(&[("version", env!("CARGO_PKG_VERSION"))], Whole(1))),
    ),
    gauge(
        "backstop_backend_usable_servers",
        "What rules see as nbsrv.",
        Of::Backends(|backend, _| Whole(backend.usable().nbsrv().into())),
    ),
    gauge(
        "backstop_frontend_route",
        "1 for the backend that new sessions go to, 0 for the others that its rules name.",
        Of::Others(routes),
    ),
    gauge(
        "haproxy_frontend_limit_sessions",
        "The most sessions at once: its own limit, else that of the process.",
        Of::Others(frontend_limits),
    ),
    counter(
        "backstop_frontend_refused",
        "Clients that were not served, by the reason.",
        Of::Others(refused),
    ),
    counter(
        "haproxy_frontend_denied_connections",
        "Connections refused for their client's address.",
        Of::Others(|running, samples| denied(running, samples, [Refusal::Address, Refusal::Rate])),
    ),
    counter(
        "haproxy_frontend_denied_sessions",
        "The same for clients that a PROXY header tells of.",
        Of::Others(|running, samples| {
            denied(running, samples, [Refusal::ToldAddress, Refusal::ToldRate])
        }),
    ),
    counter(
        "backstop_shortages",
        "How often the process was short of something, by what it was.",
        Of::Others(shortages),
    ),
    counter(
        "backstop_events",
        "Events, by their kind.",
        Of::Others(events),
    ),
    counter(
        "backstop_hook_runs",
        "Events that hooks are for, by what became of them.",
        Of::Others(hooks),
    ),
    counter(
        "backstop_log_lines",
        "Log lines written.",
        Of::Others(log_lines),
    ),
    counter(
        "backstop_log_lines_lost",
        "Log lines lost: the queue was full, the rate limit was reached, or they could not be written.",
        Of::Others(log_lines_lost),
    ),
    counter(
        "backstop_sessions_ended",
        "Sessions that ended, by the code in their log line.",
        Of::Others(endings),
    ),
    counter(
        "backstop_worker_sessions",
        "Sessions of each worker thread.",
        Of::Others(workers),
    ),
    gauge(
        "backstop_worker_current_sessions",
        "Sessions of each worker thread that are open now.",
        Of::Others(open_on_workers),
    ),
    counter(
        "backstop_worker_sessions_handed_on",
        "Sessions that a worker thread accepted and another with fewer sessions got.",
        Of::Others(handed_on),
    ),
    counter(
        "backstop_stats_refused",
        "Requests and connections to the stats page that were refused, by reason.",
        Of::Others(refusals),
    ),
];

fn frontend_limits(running: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    let topology = &running.topology;
    topology.frontends.iter().try_for_each(|frontend| {
        let most = match frontend.maxconn() {
            0 => topology.admission.maxconn(),
            most => most,
        };
        samples.put(&[("proxy", &frontend.config.name)], Whole(most.into()))
    })
}

fn refused(running: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    for frontend in &running.topology.frontends {
        let proxy = ("proxy", frontend.config.name.as_str());
        for refusal in Refusal::ALL {
            let total = frontend.door.refusals.total(refusal);
            samples.put(&[proxy, ("reason", refusal.name())], Whole(total))?;
        }
    }
    Ok(())
}

fn denied(running: &Running, samples: &mut Samples<'_>, why: [Refusal; 2]) -> fmt::Result {
    running.topology.frontends.iter().try_for_each(|frontend| {
        let total = why.map(|refusal| frontend.door.refusals.total(refusal));
        let labels = [("proxy", frontend.config.name.as_str())];
        samples.put(&labels, Whole(total.iter().sum()))
    })
}

fn shortages(running: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    let admission = &running.topology.admission;
    Resource::ALL.into_iter().try_for_each(|resource| {
        let times = admission.shortages(resource);
        samples.put(&[("of", resource.name())], Whole(times))
    })
}

fn routes(running: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    let topology = &running.topology;
    for frontend in &topology.frontends {
        let now = Routes::of(frontend, topology).otherwise;
        let now = now.map(|route| route.backend.id);
        let rules = frontend.config.rules.iter().map(|rule| rule.backend);
        let named: BTreeSet<_> = rules.chain(frontend.config.default_backend).collect();
        for id in named {
            let name = topology.backend(id).config.name.as_str();
            let labels = [("proxy", frontend.config.name.as_str()), ("backend", name)];
            samples.put(&labels, flag(now == Some(id)))?;
        }
    }
    Ok(())
}

fn events(running: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    let mut counts = running.journal.counts();
    counts.try_for_each(|(kind, count)| samples.put(&[("kind", kind)], Whole(count)))
}

fn hooks(running: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    let mut counts = running.hooks.all();
    counts.try_for_each(|(hook, result, count)| {
        samples.put(&[("hook", hook), ("result", result)], Whole(count))
    })
}

fn log_lines(_: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    log::counts()
        .iter()
        .try_for_each(|log| samples.put(&[("target", &log.target)], Whole(log.written)))
}

fn log_lines_lost(_: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    log::counts().iter().try_for_each(|log| {
        let reasons = [
            ("full", log.full),
            ("rate", log.rate),
            ("failed", log.failed),
        ];
        let target = ("target", log.target.as_str());
        let mut reasons = reasons.into_iter();
        reasons
            .try_for_each(|(reason, lost)| samples.put(&[target, ("reason", reason)], Whole(lost)))
    })
}

fn endings(running: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    for frontend in &running.topology.frontends {
        let proxy = ("proxy", frontend.config.name.as_str());
        for (outcome, count) in frontend.endings.counts() {
            let code = outcome.to_string();
            samples.put(&[proxy, ("termination", &code)], Whole(count))?;
        }
    }
    Ok(())
}

fn refusals(running: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    let mut counts = running.refusals.counts();
    counts.try_for_each(|(why, count)| samples.put(&[("reason", why)], Whole(count)))
}

fn workers(running: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    (0..running.workers()).try_for_each(|worker| {
        let number = worker.to_string();
        let sessions = running.sum(|counters| counters.shard(worker).sessions.get());
        samples.put(&[("worker", &number)], Whole(sessions))
    })
}

fn open_on_workers(running: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    let topology = &running.topology;
    (0..running.workers()).try_for_each(|worker| {
        let open = topology.loads.sessions(worker);
        let open = open.unwrap_or_else(|| topology.admission.open());
        samples.put(&[("worker", &worker.to_string())], Whole(open.into()))
    })
}

fn handed_on(running: &Running, samples: &mut Samples<'_>) -> fmt::Result {
    (0..running.workers()).try_for_each(|worker| {
        let sessions = running.topology.loads.handed_on(worker);
        samples.put(&[("worker", &worker.to_string())], Whole(sessions))
    })
}
