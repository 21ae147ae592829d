//! The store conformance suite, run on every back end.

mod mem;
mod suite;
