//! The client-side format against what does not know its code: a decryptor in Python that was
//! written from docs/FORMAT.md alone, and objects that were written once and must stay readable.

mod cases;
mod decryptor;
mod fixtures;
mod flips;
#[path = "../support/decryptor.rs"]
mod independent;
mod operations;
mod seeds;
