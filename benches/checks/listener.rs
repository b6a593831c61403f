//! All servers at once, and when each was checked.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// As many connections as may wait for this program to be given a core.
const BACKLOG: i32 = 4096;

/// Room for packets that arrive while this program waits for a core: some seconds of them.
const BUFFER: usize = 64 << 20;

/// IPv4 in the protocol field of a packet socket (`ETH_P_IP`).
const IPV4: u16 = 0x0800;

const TCP: u8 = 6;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// When which server was connected to.
type Times = HashMap<Ipv4Addr, Vec<Instant>>;

/// Accepts on every address of this machine.
#[derive(Debug)]
pub(crate) struct Listener {
    port: u16,
    times: Arc<Mutex<Times>>,
}

impl Listener {
    /// Needs a network namespace of this program's own, where it may look at packets.
    pub(crate) fn start() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        socket.bind(&any.into()).expect("a free port");
        socket.listen(BACKLOG).expect("a listener");
        let listener = TcpListener::from(socket);
        let port = listener.local_addr().expect("a bound socket").port();
        thread::spawn(move || listener.incoming().for_each(drop));
        let times = Arc::<Mutex<Times>>::default();
        let sink = Arc::clone(&times);
        let packets = packet_socket();
        thread::spawn(move || watch(&packets, port, &sink));
        Self { port, times }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Begins anew.
    pub(crate) fn forget(&self) {
        self.times().clear();
    }

    /// How many servers were checked.
    pub(crate) fn servers_checked(&self) -> usize {
        self.times().len()
    }

    /// How many checks there were.
    pub(crate) fn checks(&self) -> usize {
        self.times().values().map(Vec::len).sum()
    }

    /// By how much each check but a server's first was late, the least late first.
    pub(crate) fn lateness(&self, interval: Duration) -> Vec<Duration> {
        let times = self.times();
        let gaps = times.values().flat_map(|times| times.windows(2));
        let mut lateness: Vec<_> = gaps
            .map(|pair| (pair[1] - pair[0]).saturating_sub(interval))
            .collect();
        lateness.sort();
        lateness
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().expect("nobody panics with it")
    }
}

/// Gets a copy of every IPv4 packet that arrives.
fn packet_socket() -> OwnedFd {
    let protocol = Protocol::from(i32::from(IPV4.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol));
    let socket = socket.expect("a packet socket");
    sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).expect("a larger buffer");
    socket.into()
}

/// Takes note of every SYN to `port`. Accepting would not do: HAProxy resets a connection before
/// its server's kernel holds it for complete.
fn watch(packets: &OwnedFd, port: u16, times: &Mutex<Times>) {
    let mut packet = [0; 128];
    loop {
        let (length, _) = recv(packets, &mut packet, RecvFlags::empty()).expect("packets");
        if let Some(server) = syn(&packet[..length.min(128)], port) {
            let now = Instant::now();
            let mut times = times.lock().expect("nobody panics with it");
            times.entry(server).or_default().push(now);
        }
    }
}

/// The address that an IPv4 packet opens a connection to, if it does (RFC 791, RFC 9293).
fn syn(packet: &[u8], port: u16) -> Option<Ipv4Addr> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    let tcp = packet.get(header..header + 14)?;
    let opens = packet[9] == TCP && tcp[13] & (SYN | ACK) == SYN;
    (opens && tcp[2..4] == port.to_be_bytes()).then(|| address.into())
}
