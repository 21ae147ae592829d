//! The store conformance suite, run on every back end.

mod dir;
mod mem;
mod suite;
