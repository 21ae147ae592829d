//! The filesystem's semantics over the store in memory, in the plain layout and the client-side
//! ones: what each operation does, what it costs in requests, and that random sequences agree
//! with a model.

#[path = "../support/wait.rs"]
mod wait;

mod absence;
mod bucket;
mod clone_crashes;
mod clones;
mod closed_conflicts;
mod conflicts;
mod costs;
mod crashes;
mod deletes;
mod ending;
mod harness;
mod kernel;
mod key_outage;
mod large_renames;
mod layouts;
mod lineage;
mod looks;
mod matrix;
mod names;
mod namespace;
mod object_xattrs;
mod other_keys;
mod races;
mod rename_beside;
mod rename_crashes;
mod rename_owners;
mod rename_storm;
mod rename_unless_there;
mod s3ec;
mod sealed_costs;
mod sealed_reads;
mod semantics;
mod settings;
mod simulation;
mod truncates;
mod unheard;
mod unopened;
mod unopened_conflicts;
mod write_back;
mod write_back_kills;
mod write_back_names;
mod wrong_mode;
