//! Messages there and back through the proxy: copied, and spliced.
//!
//! `cargo bench --bench forward`. The time is that of the client, the proxy and an echoing
//! server together, so what splicing spares is more than the difference suggests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use backstop::config;
use backstop::process::Process;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const LENGTHS: [usize; 6] = [64, 1 << 10, 1 << 14, 1 << 16, 1 << 18, 1 << 20];

/// A server that sends back whatever it gets.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 18];
                while let Ok(read @ 1..) = (&stream).read(&mut buffer) {
                    if (&stream).write_all(&buffer[..read]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// A proxy before `server`, and a connection through it.
fn proxy(server: SocketAddr, splice: &str) -> TcpStream {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("bound");
    drop(free);
    let text = format!(
        r#"threads = 1
[log]
sessions = "off"
[defaults]
splice = "{splice}"
timeout = {{ connect = "5s", client = "60s", server = "60s" }}
[frontends.echo]
bind = "{address}"
default_backend = "echo"
[backends.echo]
servers = [{{ name = "s", address = "{server}" }}]
"#
    );
    let loaded = config::parse(&text, "bench.toml", &|_| None);
    let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
    let process = Process::bind(loaded.config).expect("the address is free");
    thread::spawn(|| process.run(std::future::pending));
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        thread::yield_now();
    }
}

/// Sends `message` and reads as much, both at once.
fn there_and_back(stream: &TcpStream, message: &[u8], answer: &mut [u8]) {
    if message.len() <= 1 << 14 {
        let mut stream = stream;
        stream.write_all(message).expect("taken");
        stream.read_exact(answer).expect("echoed");
        return;
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = stream;
            stream.write_all(message).expect("taken");
        });
        let mut stream = stream;
        stream.read_exact(answer).expect("echoed");
    });
}

fn forward(criterion: &mut Criterion) {
    let server = echo();
    let mut group = criterion.benchmark_group("there and back");
    for splice in ["off", "always", "auto"] {
        let stream = proxy(server, splice);
        stream.set_nodelay(true).expect("a socket option");
        for length in LENGTHS {
            let (message, mut answer) = (vec![7; length], vec![0; length]);
            group.throughput(Throughput::Bytes(2 * length as u64));
            group.bench_function(BenchmarkId::new(splice, length), |bencher| {
                bencher.iter(|| there_and_back(&stream, &message, &mut answer));
            });
        }
    }
}

criterion_group!(benches, forward);
criterion_main!(benches);
