//! The HTTP face of the stand-in.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{CrateDb, Reply};

const BODY_BYTES_MAX: usize = 100 << 20;

impl CrateDb {
    /// Serves on a free port of this machine, until the runtime ends.
    pub async fn serve(&self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let node = self.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let node = node.clone();
                tokio::spawn(async move { node.talk(socket).await });
            }
        });
        Ok(address)
    }

    async fn talk(self, socket: TcpStream) -> io::Result<()> {
        let mut socket = BufReader::new(socket);
        while let Some((head, body)) = read(&mut socket).await? {
            let (status, body) = match self.answer(&head, &body) {
                Reply::Answer { status, body } => (status, body),
                Reply::Cut => return Ok(()),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
            );
            socket.write_all(&[head.as_bytes(), &body].concat()).await?;
        }
        Ok(())
    }

    fn answer(&self, head: &str, body: &[u8]) -> Reply {
        let refused = |status| Reply::Answer {
            status,
            body: Vec::new(),
        };
        if !head.starts_with("post /_sql http/1.1\r\n") {
            return refused(404);
        }
        if !head.contains("content-type: application/json\r\n") {
            return refused(415);
        }
        if let Some(password) = self.password() {
            use base64::{Engine as _, prelude::BASE64_STANDARD};

            let wanted = format!(
                "authorization: basic {}\r\n",
                BASE64_STANDARD.encode(password)
            )
            .to_ascii_lowercase();
            if !head.contains(&wanted) {
                return refused(401);
            }
        }
        self.handle(body)
    }
}

/// Reads a request: its head in lower case, and its body. `None` at the end.
async fn read(socket: &mut BufReader<TcpStream>) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    head.make_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length
        .and_then(|length| length.parse().ok())
        .unwrap_or_default();
    if length > BODY_BYTES_MAX {
        return Err(io::Error::other("a body that is too long"));
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await?;
    Ok(Some((head, body)))
}
