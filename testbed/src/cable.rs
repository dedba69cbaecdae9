//! A way to a server that is cut where it hurts: behind a commit, before its answer.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// What a client sends to commit, as one message's text.
const COMMIT: &[u8] = b"COMMIT\0";

/// A port of this machine that leads to a server's socket.
#[derive(Debug)]
pub struct Cable {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The next commit is not answered.
    armed: AtomicBool,
    cuts: AtomicUsize,
    ended: AtomicBool,
}

impl Cable {
    /// To the server with this socket.
    ///
    /// # Panics
    /// If this machine has no port left.
    pub fn to(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let (socket, shared) = (socket.to_owned(), state.clone());
        std::thread::spawn(move || {
            for near in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(near) = near {
                    // Whoever cannot be connected sees the connection end.
                    let _ = connected(near, &socket, &shared);
                }
            }
        });
        Self { port, state }
    }

    /// The URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The next commit is carried out and never answered: its connection ends.
    pub fn cut_behind_commit(&self) {
        self.state.armed.store(true, Ordering::SeqCst);
    }

    /// How often it was cut.
    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// Carries both ways until either end is gone, on two threads.
fn connected(near: TcpStream, socket: &Path, state: &Arc<State>) -> io::Result<()> {
    let far = UnixStream::connect(socket)?;
    let (mut near_in, mut far_out) = (near.try_clone()?, far.try_clone()?);
    let (mut near_out, mut far_in) = (near, far);
    let cutting = Arc::new(AtomicBool::new(false));
    let (says, state) = (cutting.clone(), state.clone());
    std::thread::spawn(move || {
        let _ = carry(&mut near_in, &mut far_out, |bytes| {
            let commits = bytes.windows(COMMIT.len()).any(|window| window == COMMIT);
            if commits && state.armed.swap(false, Ordering::SeqCst) {
                state.cuts.fetch_add(1, Ordering::SeqCst);
                says.store(true, Ordering::SeqCst);
            }
            true
        });
        let _ = far_out.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let _ = carry(&mut far_in, &mut near_out, |_| !cutting.load(Ordering::SeqCst));
        let _ = near_out.shutdown(Shutdown::Both);
        let _ = far_in.shutdown(Shutdown::Both);
    });
    Ok(())
}

/// Carries bytes for as long as `passes` says so of what comes.
fn carry(from: &mut impl Read, to: &mut impl Write, mut passes: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut bytes = [0; 64 * 1024];
    loop {
        let length = from.read(&mut bytes)?;
        if length == 0 || !passes(&bytes[..length]) {
            return Ok(());
        }
        to.write_all(&bytes[..length])?;
    }
}
