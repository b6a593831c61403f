//! One HTTP request over one connection, as `curl` makes it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer on the loopback takes longer, unless something is broken.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    /// Such as 200.
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// GETs `path`, with the header lines given (each ending in CRLF).
pub(crate) fn get(address: SocketAddr, path: &str, headers: &str) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"
    )?;
    read_response(stream)
}

/// The body of `GET /`; an error unless it is answered with 200.
pub(crate) fn curl(address: SocketAddr) -> io::Result<String> {
    let response = get(address, "/", "")?;
    match response.status {
        200 => Ok(response.body),
        status => Err(io::Error::other(format!("status {status}"))),
    }
}

fn read_response(stream: TcpStream) -> io::Result<Response> {
    let mut reader = BufReader::new(stream);
    let status = status_code(&line(&mut reader)?)?;
    let mut framing = Framing::UntilClosed;
    loop {
        let header = line(&mut reader)?.to_ascii_lowercase();
        match header.split_once(':').map(|(k, v)| (k, v.trim())) {
            None => break,
            Some(("content-length", length)) => {
                framing = Framing::Length(length.parse().map_err(io::Error::other)?);
            }
            Some(("transfer-encoding", "chunked")) => framing = Framing::Chunks,
            Some(_) => {}
        }
    }
    let body = String::from_utf8(body(reader, framing)?).map_err(io::Error::other)?;
    Ok(Response { status, body })
}

fn status_code(line: &str) -> io::Result<u16> {
    let code = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.ok_or_else(|| io::Error::other(format!("not a status line: {line:?}")))
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy)]
enum Framing {
    UntilClosed,
    Length(u64),
    Chunks,
}

fn body(mut reader: impl BufRead, framing: Framing) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    match framing {
        Framing::UntilClosed => reader.read_to_end(&mut body).map(drop)?,
        Framing::Length(length) => read_exactly(&mut reader, length, &mut body)?,
        Framing::Chunks => loop {
            let size = line(&mut reader)?;
            let size = u64::from_str_radix(&size, 16).map_err(io::Error::other)?;
            read_exactly(&mut reader, size, &mut body)?;
            line(&mut reader)?;
            if size == 0 {
                break;
            }
        },
    }
    Ok(body)
}

fn read_exactly(reader: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let read = reader.take(length).read_to_end(body)?;
    if read as u64 == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
