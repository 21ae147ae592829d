//! The filesystem's semantics over the store in memory: what each operation does, what it costs
//! in requests, and that random sequences agree with a model.

mod closed_conflicts;
mod conflicts;
mod costs;
mod ending;
mod harness;
mod kernel;
mod key_outage;
mod names;
mod namespace;
mod object_xattrs;
mod other_keys;
mod races;
mod semantics;
mod wrong_mode;
