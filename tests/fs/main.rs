//! The filesystem's semantics over the store in memory, in the plain layout and the client-side
//! ones: what each operation does, what it costs in requests, and that random sequences agree
//! with a model.

mod bucket;
mod closed_conflicts;
mod conflicts;
mod costs;
mod ending;
mod harness;
mod kernel;
mod key_outage;
mod layouts;
mod lineage;
mod names;
mod namespace;
mod object_xattrs;
mod other_keys;
mod races;
mod sealed_costs;
mod sealed_reads;
mod semantics;
mod truncates;
mod unopened;
mod unopened_conflicts;
mod wrong_mode;
