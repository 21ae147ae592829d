//! The HTTP client under the SDK: HTTP/1.1 over many kept connections, with progress reported.
//!
//! The SDK's own client offers HTTP/2 to servers that have it (MinIO does), which puts all
//! parallel transfers behind each other on one connection, and hands an upload's body over in
//! one piece, so that nobody could tell a slow transfer from a stuck one. This one speaks
//! HTTP/1.1 only, hands bodies over in pieces and calls [`Progress::touch`] for every piece
//! that moved in either direction.
//!
//! It assumes that deadlines are set by whoever runs the request: except for the TCP
//! connection itself ([`CONNECT_TIMEOUT`]) nothing here gives up. Failures to reach the server
//! are turned into [`Unreachable`], which says what to do.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::trust::{self, CaBundleError};
use super::unreachable::{Interrupted, Unreachable};
use crate::base::progress::Progress;

/// How long a TCP connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections are dropped after this: servers close theirs at about the same age, and a
/// request on a connection that is just being closed is a failed request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Kept per host; more may be in use.
const IDLE_CONNECTIONS: usize = 64;
/// TCP probes on connections that wait long for an answer.
const TCP_KEEPALIVE: Duration = Duration::from_secs(20);
/// Largest piece of an upload that counts as progress at once.
const PIECE_BYTES: usize = 256 << 10;

/// An HTTP client for the SDK. Clones share the connections.
#[derive(Clone)]
pub struct Transport {
    client: legacy::Client<HttpsConnector<legacy::connect::HttpConnector>, UploadBody>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    /// Trusts the system's certificates and those in `ca_bundle`.
    ///
    /// # Errors
    /// When the bundle cannot be read or holds no certificate.
    pub fn new(ca_bundle: Option<&Path>) -> Result<Self, CaBundleError> {
        let tls = trust::client_config(ca_bundle)?;

        let mut tcp = legacy::connect::HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);

        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Ok(Self { client })
    }
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // The body is polled by the connection's own task: the scope is only known here.
        let progress = Progress::current();
        let request = match request.try_into_http1x() {
            Ok(request) => request.map(|body| UploadBody {
                inner: body,
                rest: Bytes::new(),
                progress: progress.clone(),
            }),
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let host = host_of(request.uri());
        let answer = self.client.request(request);
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await.map_err(|error| {
                ConnectorError::io(Box::new(Unreachable::from_transport(&host, error)))
            })?;
            if let Some(progress) = &progress {
                progress.touch();
            }
            readable_headers(answer.headers_mut());
            HttpResponse::try_from(answer.map(|body| {
                SdkBody::from_body_1_x(DownloadBody {
                    inner: body,
                    progress,
                })
            }))
            .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

fn host_of(uri: &http::Uri) -> String {
    uri.authority()
        .map_or_else(|| "the server".to_owned(), ToString::to_string)
}

/// Replaces what is no UTF-8 in header values. The SDK refuses a whole answer for one such
/// value, and other tools do store metadata in Latin-1.
fn readable_headers(headers: &mut http::HeaderMap) {
    for value in headers.values_mut() {
        if std::str::from_utf8(value.as_bytes()).is_err() {
            let readable = String::from_utf8_lossy(value.as_bytes()).into_owned();
            if let Ok(readable) = http::HeaderValue::from_bytes(readable.as_bytes()) {
                *value = readable;
            }
        }
    }
}

/// A request's body, handed over in pieces. The HTTP client asks for the next one when the
/// socket has taken most of what came before.
struct UploadBody {
    inner: SdkBody,
    /// What the inner body gave and was not handed over yet.
    rest: Bytes,
    progress: Option<Progress>,
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = aws_smithy_types::body::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        if let Some(progress) = &this.progress {
            progress.touch();
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.size_hint();
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// An answer's body.
struct DownloadBody<B> {
    inner: B,
    progress: Option<Progress>,
}

impl<B> Body for DownloadBody<B>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Unpin,
{
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(progress) = &self.progress {
            progress.touch();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| Interrupted(Box::new(error)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
