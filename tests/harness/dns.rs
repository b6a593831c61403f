//! A small authoritative name server inside the test process, which can also misbehave.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::server::Server;

/// What a name has.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// These records, good for so many seconds. Of other kinds it has none.
    Records(Vec<RData>, u32),
    /// That there is no such name.
    NoName,
    /// That something is wrong with the name server.
    Failure,
    /// Nothing at all.
    Silence,
    /// Bytes that are no answer.
    Garbage,
    /// The records, but by UDP only that they do not fit.
    Long(Vec<RData>),
}

/// Answers at one address by UDP and TCP until it is dropped.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    tcp: Server,
    udp: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    names: Mutex<HashMap<String, Says>>,
    asked: AtomicUsize,
    stops: AtomicBool,
}

impl NameServer {
    /// Knows no name yet.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let udp = UdpSocket::bind(address).expect("an address of this test's own");
        let pause = Some(Duration::from_millis(50));
        udp.set_read_timeout(pause).expect("a socket");
        let shared = Arc::<Shared>::default();
        let (one, other) = (Arc::clone(&shared), Arc::clone(&shared));
        let tcp = Server::start(address, move |stream| {
            // Clients may go whenever they like.
            let _ = one.answer_tcp(stream);
        });
        let udp = Some(thread::spawn(move || other.answer_udp(&udp)));
        Self {
            address,
            shared,
            tcp,
            udp,
        }
    }

    /// Changes what is said of a name.
    pub(crate) fn say(&self, name: &str, says: Says) {
        let mut names = self.shared.names.lock().expect("not poisoned");
        names.insert(name.to_owned(), says);
    }

    /// Gives a name these addresses, good for a second.
    pub(crate) fn set(&self, name: &str, addresses: &[IpAddr]) {
        let records = addresses.iter().map(|ip| RData::from(*ip)).collect();
        self.say(name, Says::Records(records, 1));
    }

    /// Questions so far.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Questions by TCP so far.
    pub(crate) fn asked_by_tcp(&self) -> usize {
        self.tcp.accepted()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::SeqCst);
        if let Some(udp) = self.udp.take() {
            udp.join().expect("a name server never panics");
        }
    }
}

/// An SRV record's data.
pub(crate) fn service(weight: u16, port: u16, target: &str) -> RData {
    let target = Name::from_str(target).expect("a name");
    RData::SRV(SRV::new(0, weight, port, target))
}

impl Shared {
    fn answer_udp(&self, socket: &UdpSocket) {
        let mut buffer = [0; 4096];
        while !self.stops.load(Ordering::SeqCst) {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            if let Some(answer) = self.answer(&buffer[..length], false) {
                // The client may be gone.
                let _ = socket.send_to(&answer, from);
            }
        }
    }

    fn answer_tcp(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question)?;
        if let Some(answer) = self.answer(&question, true) {
            let length = u16::try_from(answer.len()).expect("a short answer");
            stream.write_all(&length.to_be_bytes())?;
            stream.write_all(&answer)?;
        }
        Ok(())
    }

    fn answer(&self, question: &[u8], by_tcp: bool) -> Option<Vec<u8>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let question = Message::from_vec(question).ok()?;
        let query = question.queries.first()?.clone();
        let name = query.name().to_ascii().trim_end_matches('.').to_lowercase();
        let names = self.names.lock().expect("not poisoned");
        let says = names.get(&name).cloned().unwrap_or(Says::NoName);
        drop(names);
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.add_query(query.clone());
        answer.metadata.recursion_available = true;
        match says {
            Says::Silence => return None,
            Says::Garbage => return Some(b"what is this?".to_vec()),
            Says::NoName => answer.metadata.response_code = ResponseCode::NXDomain,
            Says::Failure => answer.metadata.response_code = ResponseCode::ServFail,
            Says::Long(_) if !by_tcp => answer.metadata.truncation = true,
            Says::Long(records) => add(&mut answer, query.name(), query.query_type(), records, 1),
            Says::Records(records, ttl) => {
                add(&mut answer, query.name(), query.query_type(), records, ttl);
            }
        }
        answer.to_vec().ok()
    }
}

fn add(answer: &mut Message, name: &Name, kind: RecordType, records: Vec<RData>, ttl: u32) {
    let wanted = records
        .into_iter()
        .filter(|data| data.record_type() == kind);
    answer.add_answers(wanted.map(|data| Record::from_rdata(name.clone(), ttl, data)));
}
