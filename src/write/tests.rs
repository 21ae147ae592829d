//! The engine over a store in memory: small parts, so that every byte can be compared.

mod checkpoints;
mod corrupt_answers;
mod faults;
mod fixture;
mod model;
mod prefixes;
mod publishing;
mod races;
mod sparse;
mod streaming;
