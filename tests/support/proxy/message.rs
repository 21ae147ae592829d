//! HTTP/1.1 messages as they are on the wire: read whole, passed on untouched.

use std::io::{self, BufRead, ErrorKind, Read};

/// A request or an answer. What was signed is not changed by a byte.
#[derive(Clone, Debug)]
pub struct Message {
    /// The first line and the headers, with the empty line that ends them.
    pub head: Vec<u8>,
    /// As it was sent: chunks with their lengths.
    pub body: Vec<u8>,
}

impl Message {
    /// A request, or `None` where the connection has ended.
    pub fn request(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        if stream.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let head = head(stream)?;
        let message = Self { head, body: vec![] };
        message.with_body(stream).map(Some)
    }

    /// The answer to a request of this method. What only says that one is to come is passed over.
    pub fn answer(stream: &mut impl BufRead, method: &str) -> io::Result<Self> {
        loop {
            let head = head(stream)?;
            let message = Self { head, body: vec![] };
            match message.status() {
                100..=199 => {}
                204 | 304 => return Ok(message),
                _ if method == "HEAD" => return Ok(message),
                _ => return message.with_body(stream),
            }
        }
    }

    pub fn method(&self) -> &str {
        self.first_line().split(' ').next().unwrap_or_default()
    }

    /// Path and query of a request.
    pub fn target(&self) -> &str {
        self.first_line().split(' ').nth(1).unwrap_or_default()
    }

    /// Of an answer.
    pub fn status(&self) -> u16 {
        self.target().parse().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.text()
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    fn first_line(&self) -> &str {
        self.text().lines().next().unwrap_or_default()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.head).unwrap_or_default()
    }

    fn with_body(mut self, stream: &mut impl BufRead) -> io::Result<Self> {
        if self.header("transfer-encoding").is_some() {
            self.body = chunks(stream)?;
        } else if let Some(length) = self.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            self.body = vec![0; length];
            stream.read_exact(&mut self.body)?;
        }
        Ok(self)
    }
}

fn head(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        line(stream, &mut head)?;
    }
    Ok(head)
}

/// Appends a line with its end.
fn line(stream: &mut impl BufRead, into: &mut Vec<u8>) -> io::Result<()> {
    let read = stream.read_until(b'\n', into)?;
    if read == 0 || !into.ends_with(b"\n") {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let start = body.len();
        line(stream, &mut body)?;
        let length = String::from_utf8_lossy(&body[start..]);
        let length = length.split([';', '\r']).next().unwrap_or_default();
        let length = u64::from_str_radix(length.trim(), 16).map_err(io::Error::other)?;
        if length == 0 {
            break;
        }
        // With the line end that follows it.
        let chunk = stream.by_ref().take(length + 2).read_to_end(&mut body)?;
        if chunk as u64 != length + 2 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    loop {
        let start = body.len();
        line(stream, &mut body)?;
        if body.len() - start <= 2 {
            return Ok(body);
        }
    }
}
