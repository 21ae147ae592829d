//! What is particular to the `s3` back end: encryption seen by another client, the sentences
//! for what is wrong at mount, and answers that no server should give. What it has in common
//! with all stores is in the conformance suite.

mod answers;
mod encryption;
mod fake;
#[path = "../support/fake_server.rs"]
mod fake_server;
mod mounting;
#[path = "../support/servers.rs"]
mod servers;
mod transport;
mod versions;

/// LocalStack over https: it serves both on one port.
fn localstack_tls() -> servers::Server {
    let server = servers::localstack();
    servers::Server {
        name: "LocalStack (https)",
        endpoint: server.endpoint.replacen("http://", "https://", 1),
        ..server
    }
}
