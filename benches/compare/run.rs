//! The measurements, taken in turns.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::load::{self, Done, Wrk};
use super::metric::Metric;
use super::paced;
use super::process::{self, Process};
use super::report::Figures;
use super::subjects::{self, Subject};

/// Sessions that wait while memory is measured.
const IDLE: usize = 4000;

/// What the measurements are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Small requests on 64 connections that stay
    Requests,
    /// A connection for each small request
    Connections,
    /// 256 MiB answers on 4 connections
    Bulk4,
    /// 256 MiB answers on 64 connections
    Bulk64,
    /// iperf3, from the server to the client
    Download,
    /// iperf3, from the client to the server
    Upload,
    /// Small requests at a fixed rate
    Latency,
    /// Resident memory of sessions that wait
    Idle,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Requests,
        Self::Connections,
        Self::Bulk4,
        Self::Bulk64,
        Self::Download,
        Self::Upload,
        Self::Latency,
        Self::Idle,
    ];
}

/// What to measure.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) subjects: Vec<Subject>,
}

/// Which core does what.
struct Cores {
    proxy: Vec<usize>,
    servers: Vec<usize>,
    load: Vec<usize>,
}

impl Cores {
    /// The proxy has a core for itself. Of fewer than four, load and servers share one, which keeps
    /// the proxy from being busy all the time: rates say little then, CPU time and ratios do.
    fn share(cores: &[usize]) -> io::Result<Self> {
        let (servers, load) = match cores {
            [] | [_] => return Err(io::Error::other("this needs two cores, and better four")),
            [_, shared] | [_, shared, _] => (vec![*shared], vec![*shared]),
            [_, server, load, other, others @ ..] => (
                [server].into_iter().chain(others).copied().collect(),
                vec![*load, *other],
            ),
        };
        Ok(Self {
            proxy: vec![cores[0]],
            servers,
            load,
        })
    }
}

struct Bench<'a> {
    plan: &'a Plan,
    cores: Cores,
    directory: PathBuf,
    proxies: Vec<(Subject, Option<Process>)>,
    _servers: Vec<Process>,
    figures: Figures,
}

/// Carries out `plan`, telling on standard error how far it is.
pub(crate) fn all(plan: &Plan) -> io::Result<Figures> {
    let mut bench = Bench::start(plan)?;
    let steps = plan.rounds * plan.kinds.len() * plan.subjects.len();
    let (mut step, start) = (0, Instant::now());
    for round in 0..plan.rounds {
        for &kind in &plan.kinds {
            for turn in 0..plan.subjects.len() {
                // Each round begins with another subject.
                let index = (turn + round) % plan.subjects.len();
                step += 1;
                let name = plan.subjects[index].name();
                eprint!(
                    "\r\x1b[K[{step}/{steps}, {:.0} s] round {}: {kind:?} of {name}",
                    start.elapsed().as_secs_f64(),
                    round + 1
                );
                io::stderr().flush()?;
                bench.measure(kind, index)?;
            }
        }
    }
    eprintln!();
    std::fs::remove_dir_all(&bench.directory)?;
    Ok(std::mem::take(&mut bench.figures))
}

impl<'a> Bench<'a> {
    fn start(plan: &'a Plan) -> io::Result<Self> {
        let cores = Cores::share(&process::cores()?)?;
        let directory = subjects::directory()?;
        let servers = subjects::start_servers(&cores.servers, &directory)?;
        let start = |&subject: &Subject| Ok((subject, subject.start(1, &cores.proxy, &directory)?));
        let proxies = plan.subjects.iter().map(start).collect::<io::Result<_>>()?;
        Ok(Self {
            plan,
            cores,
            directory,
            proxies,
            _servers: servers,
            figures: Figures::default(),
        })
    }

    fn measure(&mut self, kind: Kind, index: usize) -> io::Result<()> {
        use Metric as M;
        match kind {
            Kind::Requests => self.requests(index, false, [M::RequestCpu, M::RequestRate]),
            Kind::Connections => self.requests(index, true, [M::ConnectionCpu, M::ConnectionRate]),
            Kind::Bulk4 => self.bulk(index, 4, [M::Bulk4Cpu, M::Bulk4Rate]),
            Kind::Bulk64 => self.bulk(index, 64, [M::Bulk64Cpu, M::Bulk64Rate]),
            Kind::Download => self.iperf(index, true, [M::DownloadCpu, M::DownloadRate]),
            Kind::Upload => self.iperf(index, false, [M::UploadCpu, M::UploadRate]),
            Kind::Latency => self.latency(index),
            Kind::Idle => self.idle(index),
        }
    }

    fn requests(&mut self, index: usize, close: bool, metrics: [Metric; 2]) -> io::Result<()> {
        let wrk = Wrk {
            path: "/small",
            connections: 64,
            close,
            seconds: self.plan.seconds,
        };
        let target = self.proxies[index].0.web();
        self.timed(
            index,
            metrics,
            |done| done.requests,
            |bench| wrk.run(target, &bench.cores.load, &bench.directory),
        )
    }

    fn bulk(&mut self, index: usize, connections: usize, metrics: [Metric; 2]) -> io::Result<()> {
        let wrk = Wrk {
            path: "/bulk",
            connections,
            close: false,
            seconds: self.plan.seconds,
        };
        let target = self.proxies[index].0.web();
        self.timed(
            index,
            metrics,
            |done| done.bytes / 1e9,
            |bench| wrk.run(target, &bench.cores.load, &bench.directory),
        )
    }

    fn iperf(&mut self, index: usize, reverse: bool, metrics: [Metric; 2]) -> io::Result<()> {
        let subject = self.proxies[index].0;
        if subject == Subject::Floor {
            // It has no second frontend.
            return Ok(());
        }
        self.timed(
            index,
            metrics,
            |done| done.bytes / 1e9,
            |bench| {
                load::iperf(
                    subject.iperf(),
                    reverse,
                    bench.plan.seconds,
                    &bench.cores.load,
                )
            },
        )
    }

    /// Runs `load` and notes the CPU time per unit and the units per second.
    fn timed(
        &mut self,
        index: usize,
        [cpu, rate]: [Metric; 2],
        units: impl Fn(Done) -> f64,
        load: impl Fn(&Self) -> io::Result<Done>,
    ) -> io::Result<()> {
        let (subject, proxy) = &self.proxies[index];
        let subject = *subject;
        let before = proxy.as_ref().map(Process::cpu).transpose()?;
        let done = load(self)?;
        let after = self.proxies[index]
            .1
            .as_ref()
            .map(Process::cpu)
            .transpose()?;
        if done.errors > 0.0 {
            eprintln!("\n{}: {} errors", subject.name(), done.errors);
        }
        let units = units(done);
        if let (Some(before), Some(after)) = (before, after) {
            let spent = after.as_secs_f64() - before.as_secs_f64();
            self.figures.add(cpu, subject, spent / units);
        }
        self.figures.add(rate, subject, units / done.seconds);
        Ok(())
    }

    fn latency(&mut self, index: usize) -> io::Result<()> {
        let subject = self.proxies[index].0;
        let rate = self.half_load();
        let length = Duration::from_secs(self.plan.seconds);
        let latency = paced::run(subject.web(), rate, length, self.cores.load[0])?;
        self.figures
            .add(Metric::LatencyMedian, subject, latency.p50);
        self.figures.add(Metric::Latency99, subject, latency.p99);
        self.figures.add(Metric::Latency999, subject, latency.p999);
        Ok(())
    }

    /// Half of what the slowest proxy can do, the same for all.
    fn half_load(&self) -> f64 {
        let rates = self.plan.subjects.iter();
        let rates = rates.filter_map(|&s| self.figures.median(Metric::RequestRate, s));
        rates.reduce(f64::min).map_or(20_000.0, |rate| rate / 2.0)
    }

    fn idle(&mut self, index: usize) -> io::Result<()> {
        let subject = self.proxies[index].0;
        // A new process: memory that was used before could be used again.
        self.proxies[index].1 = None;
        self.proxies[index].1 = subject.start(1, &self.cores.proxy, &self.directory)?;
        let Some(proxy) = &self.proxies[index].1 else {
            return Ok(());
        };
        // What the first sessions make a proxy allocate for all of them does not count.
        drop(paced::idle(subject.web(), 200)?);
        std::thread::sleep(Duration::from_millis(200));
        let before = proxy.resident()?;
        let sessions = paced::idle(subject.web(), IDLE)?;
        std::thread::sleep(Duration::from_millis(200));
        let grown = proxy.resident()?.saturating_sub(before);
        drop(sessions);
        self.figures
            .add(Metric::IdleBytes, subject, grown as f64 / IDLE as f64);
        Ok(())
    }
}
