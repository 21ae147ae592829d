//! What a MinIO has been asked, by its own count: requests by name, and bytes of them and their
//! answers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use super::minio::PrivateMinio;

/// Between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    requests: BTreeMap<String, u64>,
    /// Of those, answered with 4xx: there is no such object, or it is not the version asked for.
    refused: BTreeMap<String, u64>,
    /// To and from the server, bodies with all that is around them.
    pub bytes: u64,
}

impl RequestCounts {
    /// Requests of this name, as `GetObject`.
    pub fn of(&self, name: &str) -> u64 {
        self.requests.get(name).copied().unwrap_or_default()
    }

    /// Requests of any name.
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Requests of this name that brought what they asked for.
    pub fn answered(&self, name: &str) -> u64 {
        self.of(name) - self.refused.get(name).copied().unwrap_or_default()
    }

    /// Of a server over http.
    fn now(minio: &PrivateMinio) -> Self {
        let endpoint = minio.reach().endpoint;
        let address = endpoint.strip_prefix("http://").expect("plain http");
        let mut stream = TcpStream::connect(address).expect("a connection");
        let request = "GET /minio/metrics/v3/api/requests HTTP/1.0\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("asking");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains(" 200 OK"), "{answer}");
        let mut counts = Self::default();
        for line in answer.lines() {
            let Some((metric, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Ok(value) = value.parse::<f64>() else {
                continue;
            };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counts that are shown as floating point numbers"
            )]
            let value = value as u64;
            let by_name = match metric.split('{').next() {
                Some("minio_api_requests_total") => Some(&mut counts.requests),
                Some("minio_api_requests_4xx_errors_total") => Some(&mut counts.refused),
                _ => None,
            };
            if let Some(by_name) = by_name {
                let name = metric.split("name=\"").nth(1).expect("a name");
                let name = name.split('"').next().expect("its end");
                *by_name.entry(name.to_owned()).or_default() += value;
            } else if metric.starts_with("minio_api_requests_traffic_") {
                counts.bytes += value;
            }
        }
        counts
    }

    /// What `work` asks of the server.
    pub fn during<T>(minio: &PrivateMinio, work: impl FnOnce() -> T) -> (T, Self) {
        let before = Self::now(minio);
        let done = work();
        let mut counts = Self::now(minio);
        counts.bytes -= before.bytes;
        for (now, before) in [
            (&mut counts.requests, &before.requests),
            (&mut counts.refused, &before.refused),
        ] {
            for (name, count) in &mut *now {
                *count -= before.get(name).copied().unwrap_or_default();
            }
            now.retain(|_, count| *count > 0);
        }
        (done, counts)
    }
}
