//! The server and the clients of the examples `echo` and `echo_system`.

use std::fs;
use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const CLIENTS: usize = 32;

/// A message is its length and so many bytes.
async fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut message = vec![0; length as usize];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn send(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let mut packet = Vec::with_capacity(4 + message.len());
    packet.extend_from_slice(&(message.len() as u32).to_be_bytes());
    packet.extend_from_slice(message);
    stream.write_all(&packet).await
}

/// Answers with what it gets, in capitals, until the client goes.
async fn serve(mut stream: TcpStream) {
    while let Ok(message) = receive(&mut stream).await {
        if send(&mut stream, &message.to_ascii_uppercase()).await.is_err() {
            return;
        }
    }
}

async fn client(address: std::net::SocketAddr, messages: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    for number in 0..messages {
        // Most messages are small, some are not.
        let length = if number % 20 == 0 {
            20_000
        } else {
            50 + number * 31 % 900
        };
        let message = vec![b'a' + (number % 26) as u8; length];
        send(&mut stream, &message).await?;
        let answer = receive(&mut stream).await?;
        assert_eq!(answer, message.to_ascii_uppercase());
    }
    Ok(())
}

async fn run(messages: usize) -> io::Result<()> {
    // On this machine only.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(stream));
        }
    });
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(client(address, messages))).collect();
    for client in clients {
        client.await.map_err(io::Error::other)??;
    }
    server.abort();
    Ok(())
}

/// The most memory the process has had in RAM, in KiB.
fn peak_rss_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

pub fn main(allocator: &str) -> io::Result<()> {
    let messages: usize = match std::env::args().nth(1) {
        Some(number) => number.parse().map_err(io::Error::other)?,
        None => 5000,
    };
    let start = Instant::now();
    Runtime::new()?.block_on(run(messages))?;
    let each = (CLIENTS * messages) as f64;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{allocator}: {:.0} messages a second, {} KiB of RAM at most",
        each / seconds,
        peak_rss_kib().unwrap_or(0)
    );
    Ok(())
}
