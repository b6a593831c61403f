use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};
use tokio::sync::watch;

use super::*;
use crate::config::SessionLog;
use crate::id::BackendId;
use crate::proxy::worker::{Bind, Order, Sessions, Stage, Workers};
use crate::topology::{Current, Topology, sample};

/// Sessions of this client meet a bug.
const DOOMED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// Where a bug is, for the sessions that are to meet one.
pub(super) fn fail_point(account: &Account) {
    assert!(account.client().ip() != DOOMED, "a bug");
}

/// The size of the future that `session` returns.
fn size<A, B, C, D, E, F>(_session: impl FnOnce(A, B, C, D, E) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn a_session_is_small() {
    let size = size(run);
    assert!(size <= 648, "{size} bytes");
}

/// Sends back what it gets, to as many as come, until the test ends.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    port
}

/// One running worker with a frontend before one server.
fn start() -> (Arc<Topology>, Workers, SocketAddr) {
    let mut server = sample::server("s1", echo(), false);
    server.check = None;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut frontend = sample::frontend("ft", Vec::new(), Some(BackendId(0)));
    frontend.bind = vec![address];
    let backend = sample::backend("bk", false, vec![server]);
    let topology = sample::build(vec![frontend], vec![backend]);
    let (_, queues) = Sessions::channel(1);
    let current = Current::new(Arc::clone(&topology));
    let workers = Workers::start(&current, queues, SessionLog::Off, false).unwrap();
    let bind = Bind {
        address,
        listener,
        orders: watch::channel(Order::Accept).1,
    };
    workers.listeners()[0].send(bind).unwrap();
    (topology, workers, address)
}

fn client(source: Ipv4Addr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::new(IpAddr::V4(source), 0).into())
        .unwrap();
    socket.connect(&address.into()).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    socket.into()
}

fn is_served(mut client: &TcpStream) -> bool {
    let mut answer = [0];
    client.write_all(b"x").is_ok() && client.read_exact(&mut answer).is_ok() && answer == *b"x"
}

#[test]
fn a_panic_ends_its_session_and_no_other() {
    let (topology, workers, address) = start();
    let before = client(Ipv4Addr::LOCALHOST, address);
    assert!(is_served(&before));

    let mut doomed = client(DOOMED, address);
    assert_eq!(doomed.read(&mut [0]).unwrap_or(0), 0, "it is closed");

    assert!(is_served(&before), "a session of the same worker goes on");
    assert!(
        is_served(&client(Ipv4Addr::LOCALHOST, address)),
        "others are accepted"
    );
    let frontend = &topology.frontends[0];
    let bug = Outcome::new(Cause::Internal, Phase::Request);
    let counted = frontend
        .endings
        .counts()
        .find(|(outcome, _)| *outcome == bug);
    assert_eq!(counted, Some((bug, 1)), "it is counted as what it is");
    assert_eq!(frontend.counters.total(|shard| &shard.sessions), 3);
    workers.stage().send_replace(Stage::Stopped);
}
