//! A server in a process of its own, so that it can be killed and frozen.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::bytes::{Request, end};

/// A running server, or one that was killed.
#[derive(Debug)]
pub(crate) struct Server {
    /// Such as `a/s1`.
    pub(crate) path: String,
    address: SocketAddr,
    ledger: PathBuf,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn start(path: &str, address: SocketAddr, ledger: &Path) -> io::Result<Self> {
        let mut server = Self {
            path: path.to_owned(),
            address,
            ledger: ledger.to_owned(),
            child: None,
        };
        server.restart()?;
        Ok(server)
    }

    pub(crate) fn restart(&mut self) -> io::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve").arg(self.address.to_string());
        command.arg("--ledger").arg(&self.ledger);
        self.child = Some(command.stdin(Stdio::piped()).spawn()?);
        Ok(())
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops the process, or has it go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        if let Some(child) = &self.child {
            let signal = if frozen { Signal::STOP } else { Signal::CONT };
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Serves until the process that started this one has gone; tells `ledger` of each session that
/// went well.
pub(crate) fn serve(address: SocketAddr, ledger: &Path) -> io::Result<()> {
    std::thread::spawn(|| {
        let _ = io::Read::read(&mut io::stdin(), &mut [0]);
        std::process::exit(0);
    });
    let ledger = OpenOptions::new().append(true).create(true).open(ledger)?;
    let ledger = Rc::new(ledger);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(address).await?;
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let ledger = Rc::clone(&ledger);
                tokio::task::spawn_local(async move { session(stream, &ledger).await });
            }
        }
    })
}

async fn session(mut stream: TcpStream, mut ledger: &File) -> io::Result<()> {
    let mut head = [0; Request::LENGTH];
    stream.read_exact(&mut head).await?;
    let request = Request::decode(&head);
    let (upload, download) = (request.upload(), request.download());
    let (mut input, mut output) = stream.split();
    let receiving = async {
        upload
            .receive(&mut input, usize::MAX, Duration::ZERO)
            .await?;
        if request.after_end {
            end(&mut input).await?;
        }
        io::Result::Ok(())
    };
    if request.after_end {
        receiving.await?;
        download.send(&mut output).await?;
    } else {
        tokio::try_join!(receiving, download.send(&mut output))?;
    }
    output.shutdown().await?;
    if !request.after_end {
        end(&mut input).await?;
    }
    let received = Request::LENGTH as u64 + upload.done.get();
    // In one piece, since other servers of this name may have begun meanwhile.
    let line = format!("{} {received} {}\n", request.id, download.done.get());
    ledger.write_all(line.as_bytes())
}
