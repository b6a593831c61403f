//! One direction over real sockets, the same for every [`SpliceMode`].

use std::future::poll_fn;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::direction::{Broken, Direction, Lent, Moved};
use super::pipe::Pool;
use crate::config::SpliceMode;

const MODES: [SpliceMode; 3] = [SpliceMode::Off, SpliceMode::Auto, SpliceMode::Always];
const SCRATCH_BYTES: usize = 64 * 1024;
const SOON: Duration = Duration::from_secs(20);

/// A direction from `sender` to `receiver`, with the proxy's two sockets between them.
struct Fixture {
    sender: TcpStream,
    middle: Middle,
    receiver: TcpStream,
}

/// The proxy's part.
struct Middle {
    from: TcpStream,
    to: TcpStream,
    direction: Direction,
    pool: Pool,
    total: Moved,
}

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(near, listener.accept());
    (near.unwrap(), far.unwrap().0)
}

impl Fixture {
    async fn new(mode: SpliceMode) -> Self {
        let ((sender, from), (to, receiver)) = (connection().await, connection().await);
        let middle = Middle {
            from,
            to,
            direction: Direction::new(mode),
            pool: Pool::default(),
            total: Moved::default(),
        };
        Self {
            sender,
            middle,
            receiver,
        }
    }
}

impl Middle {
    /// Forwards until the direction has ended.
    async fn run(&mut self) -> Result<(), Broken> {
        let mut scratch = vec![0; SCRATCH_BYTES];
        poll_fn(|cx| {
            let mut lent = Lent {
                scratch: &mut scratch,
                pipes: &self.pool,
            };
            let (from, to, mut moved) = (&self.from, &self.to, Moved::default());
            let polled = self.direction.poll(cx, from, to, &mut lent, &mut moved);
            self.total.read += moved.read;
            self.total.written += moved.written;
            self.total.spliced += moved.spliced;
            polled
        })
        .await
    }
}

/// Bytes that differ wherever a mix-up of blocks could hide.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect()
}

/// Sends `bytes` in pieces of the given sizes, over and over, then ends.
async fn send(mut sender: TcpStream, bytes: &[u8], pieces: &[usize]) -> TcpStream {
    let mut rest = bytes;
    for &piece in pieces.iter().cycle() {
        let (head, tail) = rest.split_at(piece.min(rest.len()));
        sender.write_all(head).await.unwrap();
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    sender.shutdown().await.unwrap();
    sender
}

/// Reads `bytes`, pausing now and then so that the writer before it gets stuck.
async fn receive(receiver: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for part in bytes.chunks_mut(300_000) {
        tokio::task::yield_now().await;
        receiver.read_exact(part).await.unwrap();
    }
    bytes
}

#[tokio::test]
async fn bytes_arrive_whole_and_in_order_however_they_go() {
    let bytes = pattern(9_000_000);
    for mode in MODES {
        for pieces in [&[1_000_000][..], &[1, 70_000, 3_000, 500_000, 10], &[9_000]] {
            let Fixture {
                sender,
                mut middle,
                mut receiver,
            } = Fixture::new(mode).await;
            let all = async {
                tokio::join!(
                    send(sender, &bytes, pieces),
                    middle.run(),
                    receive(&mut receiver, bytes.len())
                )
            };
            let (_, ended, received) = timeout(SOON, all).await.unwrap();
            assert_eq!(ended, Ok(()), "{mode:?}");
            assert!(received == bytes, "{mode:?} {pieces:?}");
            let Moved { read, written, .. } = middle.total;
            assert_eq!((read, written), (bytes.len(), bytes.len()), "{mode:?}");
        }
    }
}

#[tokio::test]
async fn what_is_spliced_follows_the_mode() {
    let bytes = pattern(9_000_000);
    for (mode, least, most) in [
        (SpliceMode::Off, 0, 0),
        (SpliceMode::Auto, 1, 9_000_000 - 2 * SCRATCH_BYTES),
        (SpliceMode::Always, 9_000_000, 9_000_000),
    ] {
        let Fixture {
            sender,
            mut middle,
            mut receiver,
        } = Fixture::new(mode).await;
        let all = async {
            tokio::join!(
                send(sender, &bytes, &[1_000_000]),
                middle.run(),
                receive(&mut receiver, bytes.len())
            )
        };
        timeout(SOON, all).await.unwrap().1.unwrap();
        let spliced = middle.total.spliced;
        assert!((least..=most).contains(&spliced), "{mode:?}: {spliced}");
    }
}

/// The receiver takes nothing until nobody can move any more. A full pipe mistaken for a
/// drained socket would leave the rest of the stream unread for ever.
#[tokio::test]
async fn a_receiver_that_stands_still_for_long_gets_everything() {
    let bytes = pattern(20_000_000);
    for mode in MODES {
        let Fixture {
            mut sender,
            mut middle,
            mut receiver,
        } = Fixture::new(mode).await;
        // Else the kernel grows it until all fits, and nobody gets stuck.
        let from = SockRef::from(&middle.from);
        from.set_recv_buffer_size(100_000).unwrap();
        let all = async {
            let mut forwarding = std::pin::pin!(middle.run());
            let mut sent = 0;
            // Until a write waits although the direction is being polled: all is full.
            loop {
                tokio::select! {
                    biased;
                    _ = &mut forwarding => panic!("it has not ended"),
                    wrote = sender.write(&bytes[sent..]), if sent < bytes.len() => sent += wrote.unwrap(),
                    () = tokio::time::sleep(Duration::from_millis(100)) => break,
                }
            }
            assert!(
                sent < bytes.len(),
                "the buffers between are smaller than this"
            );
            let rest = async {
                sender.write_all(&bytes[sent..]).await.unwrap();
                sender.shutdown().await.unwrap();
            };
            let ((), ended, received) =
                tokio::join!(rest, forwarding, receive(&mut receiver, bytes.len()));
            assert_eq!(ended, Ok(()), "{mode:?}");
            assert!(received == bytes, "{mode:?}");
        };
        timeout(SOON, all).await.unwrap();
    }
}

#[tokio::test]
async fn a_direction_that_waits_for_its_sender_has_no_pipe() {
    let bytes = pattern(3_000_000);
    let Fixture {
        mut sender,
        mut middle,
        mut receiver,
    } = Fixture::new(SpliceMode::Always).await;
    let talk = async {
        let (wrote, _) = tokio::join!(
            sender.write_all(&bytes),
            receive(&mut receiver, bytes.len())
        );
        wrote.unwrap();
    };
    tokio::select! {
        biased;
        ended = middle.run() => panic!("{ended:?}"),
        () = talk => {}
    }
    assert_eq!(middle.pool.in_use(), 0);
}

#[tokio::test]
async fn a_reset_is_told_by_its_side() {
    for mode in MODES {
        let Fixture {
            mut sender,
            mut middle,
            receiver,
        } = Fixture::new(mode).await;
        SockRef::from(&receiver)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(receiver);
        let block = vec![0; 100_000];
        let endless = async { while sender.write_all(&block).await.is_ok() {} };
        let broken = async {
            tokio::select! {
                ended = middle.run() => ended,
                () = endless => panic!("the proxy's side is open"),
            }
        };
        let broken = timeout(SOON, broken).await.unwrap();
        assert_eq!(broken, Err(Broken::Writing), "{mode:?}");

        let Fixture {
            sender,
            mut middle,
            receiver: _receiver,
        } = Fixture::new(mode).await;
        SockRef::from(&sender)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(sender);
        let broken = timeout(SOON, middle.run()).await.unwrap();
        assert_eq!(broken, Err(Broken::Reading), "{mode:?}");
    }
}

/// The reset may be known when the bytes are read, as the end may be.
#[tokio::test]
async fn bytes_before_an_end_or_a_reset_arrive() {
    for (mode, resets) in MODES.into_iter().flat_map(|m| [(m, false), (m, true)]) {
        let Fixture {
            mut sender,
            mut middle,
            mut receiver,
        } = Fixture::new(mode).await;
        sender.write_all(b"hello").await.unwrap();
        if resets {
            let socket = SockRef::from(&sender);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(sender);
        // The event loop learns of both at once.
        tokio::task::yield_now().await;
        let ended = timeout(SOON, middle.run()).await.unwrap();
        let expected = if resets { Err(Broken::Reading) } else { Ok(()) };
        assert_eq!(ended, expected, "{mode:?}");
        drop(middle);
        let mut bytes = Vec::new();
        timeout(SOON, receiver.read_to_end(&mut bytes))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(bytes, b"hello", "{mode:?}");
    }
}

#[tokio::test]
async fn a_direction_sleeps_until_its_sender_stirs() {
    for mode in MODES {
        let mut fixture = Fixture::new(mode).await;
        let middle = &mut fixture.middle;
        assert!(!middle.direction.sleeps(&middle.from));
        let idle = timeout(Duration::from_millis(1), middle.run());
        idle.await.unwrap_err();
        assert!(middle.direction.sleeps(&middle.from));
        middle.direction.forget_waker();
        assert!(!middle.direction.sleeps(&middle.from));
        let idle = timeout(Duration::from_millis(1), middle.run());
        idle.await.unwrap_err();
        fixture.sender.write_all(b"hello").await.unwrap();
        middle.from.readable().await.unwrap();
        assert!(!middle.direction.sleeps(&middle.from));
    }
}
