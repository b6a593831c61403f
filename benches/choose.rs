//! Choosing a backend and a server, and reading a large configuration.
//!
//! `cargo bench --bench choose`. Choosing may not depend on the number of servers; that of `leastconn`
//! compares 256 at most.

use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use backstop::config::{self, Config};
use backstop::topology::Topology;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

const SERVERS: [u32; 3] = [10, 1_000, 10_000];

fn text(servers: u32, balance: &str) -> String {
    let mut text = String::from(
        r#"
[defaults]
timeout = { connect = "1s", client = "1s", server = "1s" }
[frontends.ft]
bind = "127.0.0.1:81"
acl.few = "nbsrv(main) le 2"
use_backend = [
  { backend = "spare", if = "few" },
  { backend = "spare", if = "nbsrv(main) lt 1 and src 10.0.0.0/8" },
]
default_backend = "main"
[backends.spare]
servers = [{ name = "s", address = "10.0.0.1:80" }]
[backends.main]
"#,
    );
    let _ = writeln!(text, "balance = \"{balance}\"\nservers = [");
    for index in 0..servers {
        let (high, low) = (index / 250, index % 250 + 1);
        let _ = writeln!(
            text,
            "  {{ name = \"s{index}\", address = \"10.1.{high}.{low}:80\", check = true }},"
        );
    }
    text + "]\n"
}

fn parse(text: &str) -> Config {
    let loaded = config::parse(text, "bench.toml", &|_| None);
    loaded.unwrap_or_else(|report| panic!("{report}")).config
}

fn topology(servers: u32, balance: &str) -> Topology {
    let topology = Topology::build(&parse(&text(servers, balance)), 1, Instant::now());
    for server in topology.servers() {
        server.set_address(SocketAddr::from(([10, 0, 0, 1], 80)));
    }
    for backend in &topology.backends {
        backend.recompute(Instant::now());
    }
    topology
}

fn choose(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("choose");
    for servers in SERVERS {
        let topology = topology(servers, "roundrobin");
        let frontend = &topology.frontends[0];
        let backend = &topology.backends[1];
        assert_eq!(backend.usable().nbsrv(), servers);
        group.bench_function(BenchmarkId::new("round robin", servers), |bencher| {
            bencher.iter(|| black_box(backend.usable().first(NOBODY)));
        });
        let client = SocketAddr::from(([127, 0, 0, 1], 4000));
        let local = SocketAddr::from(([127, 0, 0, 1], 81));
        group.bench_function(BenchmarkId::new("two nbsrv rules", servers), |bencher| {
            bencher.iter(|| {
                let facts = topology.facts(black_box(client), local);
                black_box(frontend.matching_rule(&facts).is_some())
            });
        });
        group.bench_function(BenchmarkId::new("state change", servers), |bencher| {
            bencher.iter(|| backend.recompute(Instant::now()));
        });
    }
    group.finish();
    others(criterion);
    let mut group = criterion.benchmark_group("read a configuration");
    group.sample_size(10);
    for servers in SERVERS {
        let text = text(servers, "roundrobin");
        group.bench_function(BenchmarkId::from_parameter(servers), |bencher| {
            bencher.iter(|| parse(black_box(&text)));
        });
    }
}

/// The algorithms beside round robin, on a farm where every server has sessions.
fn others(criterion: &mut Criterion) {
    for balance in ["leastconn", "source", "random", "first"] {
        let mut group = criterion.benchmark_group(balance);
        for servers in SERVERS {
            let topology = topology(servers, balance);
            let backend = &topology.backends[1];
            for (server, open) in backend.servers.iter().zip((1..=3).cycle()) {
                (0..open).for_each(|_| server.counters.enter(0, 0));
            }
            let mut client = 0;
            group.bench_function(BenchmarkId::new("choose", servers), |bencher| {
                bencher.iter(|| {
                    client += 1;
                    backend
                        .usable()
                        .first(IpAddr::V4(Ipv4Addr::from_bits(client)))
                });
            });
            group.bench_function(BenchmarkId::new("state change", servers), |bencher| {
                bencher.iter(|| backend.recompute(Instant::now()));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, choose);
criterion_main!(benches);
