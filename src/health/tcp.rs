//! The check that connects and asks for no more.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::topology::status::{CheckReport, CheckStatus};

/// Connects to `address` and closes again, within `limit`.
pub async fn check(address: SocketAddr, limit: Duration) -> CheckReport {
    let began = Instant::now();
    let (status, info) = match timeout(limit, connect(address)).await {
        Ok(Ok(())) => (CheckStatus::L4Ok, String::new()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
            (CheckStatus::L4Timeout, String::new())
        }
        Ok(Err(error)) => (CheckStatus::L4Connection, describe(&error)),
        Err(_) => (CheckStatus::L4Timeout, String::new()),
    };
    CheckReport {
        status,
        info,
        duration: began.elapsed(),
    }
}

async fn connect(address: SocketAddr) -> io::Result<()> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // Closing by a reset leaves no TIME_WAIT behind on either machine.
    socket.set_zero_linger()?;
    socket.connect(address).await.map(drop)
}

/// The system's own words, without the number that the standard library adds.
fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn run(address: SocketAddr) -> CheckReport {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(check(address, Duration::from_secs(5)))
    }

    #[test]
    fn a_listening_server_passes_and_a_closed_port_says_why() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(run(address).status, CheckStatus::L4Ok);
        drop(listener);
        let report = run(address);
        assert_eq!(report.status, CheckStatus::L4Connection);
        assert_eq!(report.info, "Connection refused");
    }
}
