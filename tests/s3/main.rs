//! What is particular to the `s3` back end: encryption seen by another client, the sentences
//! for what is wrong at mount, and answers that no server should give. What it has in common
//! with all stores is in the conformance suite.

mod answers;
mod blocked;
mod customer_keys;
mod encryption;
mod every_way;
mod fake;
#[path = "../support/fake_http.rs"]
mod fake_http;
mod kms;
mod mounting;
mod older_keys;
mod open_answers;
mod parts;
#[path = "../support/servers.rs"]
mod servers;
mod settings;
mod transport;
mod versions;

use cloakfs::aws::Aws;
use cloakfs::base::secret::Secret;
use cloakfs::store::ObjectKey;
use cloakfs::store::s3::{CustomerKey, S3Config, S3Store};

/// LocalStack over https: it serves both on one port.
fn localstack_tls() -> servers::Server {
    let server = servers::localstack();
    servers::Server {
        name: "LocalStack (https)",
        endpoint: server.endpoint.replacen("http://", "https://", 1),
        ..server
    }
}

async fn open(server: &servers::Server, config: S3Config) -> S3Store {
    let aws = Aws::find(&server.config()).await.unwrap();
    S3Store::new(&aws, config).unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

/// A customer's key, and the same as the SDK's own client takes it.
fn customer_key(fill: u8) -> (CustomerKey, String) {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode([fill; 32]);
    (CustomerKey::new(&Secret::take(&mut [fill; 32])), base64)
}
