//! What is particular to the `s3` back end: encryption seen by another client, the sentences
//! for what is wrong at mount, and answers that no server should give. What it has in common
//! with all stores is in the conformance suite.

mod answers;
mod encryption;
mod fake;
mod mounting;
#[path = "../support/servers.rs"]
mod servers;
